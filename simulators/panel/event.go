package panel

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// Kind is what a panel may have to tell, in the words of the alarm codes.
type Kind string

// Kinds.
const (
	Heartbeat   Kind = "heartbeat" // a link test, no event
	Fire        Kind = "fire"
	Panic       Kind = "panic"
	Intrusion   Kind = "intrusion"
	Gas         Kind = "gas"
	Medical     Kind = "medical"
	Restore     Kind = "restore" // of a fire alarm
	Test        Kind = "test"
	Power       Kind = "power"
	FireTrouble Kind = "fire-trouble"
	Tamper      Kind = "tamper"
	Arming      Kind = "arming"
)

// Qualifiers of Contact ID.
const (
	Began    = 1 // or opening
	Restored = 3 // or closing
)

// Event is one thing to tell. Code decides; SIA is its twin in the other language.
type Event struct {
	Kind      Kind
	Qualifier int
	Code      string // three digits of Contact ID
	Area      int    // 0 to 99
	Zone      int    // 0 to 999; a user for arming
	Text      string // SIA only
}

// twins are the SIA codes of Contact ID codes: on a new event and on a restore.
var twins = map[string][2]string{
	"100": {"MA", "MR"}, "110": {"FA", "FR"}, "111": {"FA", "FR"}, "114": {"KA", "KR"}, "115": {"FA", "FR"},
	"120": {"PA", "PR"}, "122": {"HA", "HR"}, "130": {"BA", "BR"}, "131": {"BA", "BR"}, "132": {"BA", "BR"},
	"137": {"TA", "TR"}, "151": {"GA", "GR"}, "154": {"WA", "WR"}, "301": {"AT", "AR"}, "302": {"YT", "YR"},
	"373": {"FT", "FJ"}, "401": {"OP", "CL"}, "601": {"RX", "RX"}, "602": {"RP", "RP"},
}

// SIA is the event's code in the SIA language; empty when it has none.
func (e Event) SIA() string {
	pair := twins[e.Code]
	if e.Qualifier == Restored {
		return pair[1]
	}
	return pair[0]
}

// Frame writes the event as the protocol has it. SIA falls back to Contact ID
// for a code without a twin.
func (e Event) Frame(protocol, account string, seq int) Frame {
	f := Frame{Seq: seq, Line: "0", Account: account}
	sia := e.SIA()
	switch {
	case e.Kind == Heartbeat:
		f.Token, f.Seq = tokenNull, 0
	case protocol == SIA && sia != "":
		f.Token = tokenSIA
		f.Data = "N"
		if e.Area > 0 {
			f.Data += fmt.Sprintf("ri%02d/", e.Area)
		}
		f.Data += fmt.Sprintf("%s%03d", sia, e.Zone)
		if e.Text != "" {
			f.Data += "^" + e.Text + "^"
		}
	default:
		f.Token = tokenContactID
		f.Data = fmt.Sprintf("%d%s %02d %03d", e.Qualifier, e.Code, e.Area, e.Zone)
	}
	return f
}

// Protocols within DC-09.
const (
	ContactID = "adm-cid"
	SIA       = "sia-dcs"
)

// codes lists what each kind may be told by; the first is its plainest.
var codes = map[Kind][]string{
	Fire: {"110", "111", "114", "115"}, Panic: {"120", "122"}, Intrusion: {"130", "131", "132"},
	Gas: {"151"}, Medical: {"100"}, Restore: {"110", "111", "114", "115"}, Test: {"602", "601"},
	Power: {"301", "302"}, FireTrouble: {"373"}, Tamper: {"137"}, Arming: {"401"},
}

// Kinds lists what can be asked for by name.
func Kinds() []Kind {
	return []Kind{Heartbeat, Fire, Panic, Intrusion, Gas, Medical, Restore, Test, Power, FireTrouble, Tamper, Arming}
}

// Plain is the kind's plainest event.
func Plain(k Kind) Event {
	e := Event{Kind: k, Qualifier: Began}
	if c := codes[k]; len(c) > 0 {
		e.Code = c[0]
	}
	if k == Restore {
		e.Qualifier = Restored
	}
	return e
}

// Mix is how often each kind happens.
type Mix map[Kind]int

// Mixes that have a name.
var mixes = map[string]Mix{
	// What a city's panels really say: 3.4 % are for response.
	"city": {Fire: 14, Panic: 12, Intrusion: 6, Gas: 2, Restore: 20, Test: 480, Power: 200, FireTrouble: 66, Arming: 200},
	// Everything is urgent: each opens a card or joins one.
	"urgent": {Fire: 4, Panic: 3, Intrusion: 2, Gas: 1},
	"fire":   {Fire: 1},
	// What costs the engine a row each and no card.
	"noise": {Test: 5, Power: 3, Arming: 2},
	"all":   {Fire: 3, Panic: 2, Intrusion: 2, Gas: 1, Restore: 3, Test: 3, Power: 2, FireTrouble: 1, Arming: 2},
	// Link tests only.
	"heartbeat": {Heartbeat: 1},
}

// MixNames lists the mixes that NamedMix knows.
func MixNames() []string {
	names := make([]string, 0, len(mixes))
	for n := range mixes {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// NamedMix finds a mix by name.
func NamedMix(name string) (Mix, error) {
	m, ok := mixes[name]
	if !ok {
		return nil, fmt.Errorf("no mix %q; there are %v", name, MixNames())
	}
	return m, nil
}

// Draw makes the n-th event of a panel. Zone and area walk through all their
// values, so that a panel repeats no content until it has sent 98,901 events: the
// receiver must take each for a new one.
func (m Mix) Draw(rng *rand.Rand, n int) Event {
	sum := 0
	for _, k := range Kinds() {
		sum += m[k]
	}
	left := rng.IntN(max(sum, 1))
	kind := Heartbeat
	for _, k := range Kinds() {
		if left -= m[k]; left < 0 && m[k] > 0 {
			kind = k
			break
		}
	}
	e := Plain(kind)
	if c := codes[kind]; len(c) > 0 {
		e.Code = c[rng.IntN(len(c))]
	}
	if (kind == Power || kind == FireTrouble || kind == Arming) && rng.IntN(2) == 0 {
		e.Qualifier = Restored
	}
	e.Zone = n%999 + 1
	e.Area = n/999%99 + 1
	return e
}
