package city

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// What is the kind of thing that happened.
type What string

// The facts of a history, in the order in which one story meets them.
const (
	Called    What = "called"    // Contact: a phone call came in
	Texted    What = "texted"    // Contact: an SMS came in
	Answered  What = "answered"  // the call was answered
	HungUp    What = "hung_up"   // the call ended; Reason says by whom
	Notified  What = "notified"  // Notice: a panel's message came in
	Sent      What = "sent"      // Form: the call-taker sent the card on
	Dismissed What = "dismissed" // Reason: closed without a response
	Replied   What = "replied"   // Reply: a service said where it is
	Closed    What = "closed"    // Reason: the supervisor closed the card
)

// Fact is one thing that happened at one time. Exactly the field named beside
// its What is set.
type Fact struct {
	At   time.Time
	What What
	// Story is shared by the facts of one incident; 0 for a notification that
	// led to none (a test, a trouble, arming).
	Story   int
	Contact *HistoricContact
	Notice  *HistoricNotice
	Form    *HistoricForm
	Reply   *HistoricReply
	Reason  string
	// By is the login of the person who did it, empty where nobody did.
	By string
}

// HistoricContact is a call or an SMS. Key is unique and deterministic.
type HistoricContact struct{ Key, Caller, Called, Text string }

// HistoricNotice is a panel's message, in the words of Contact ID.
type HistoricNotice struct {
	Account  string
	Facility string // its code
	Protocol string
	// Class and Condition are the vocabulary of the alarm codes; Code is the
	// Contact ID event code with its qualifier, as «1110» or «3602».
	Class, Condition, Code, Area, Zone string
	// Urgent notices open an incident; the others are only kept.
	Urgent bool
	Seq    int
}

// HistoricForm is what the call-taker typed.
type HistoricForm struct{ Type, Place, Description string }

// HistoricReply is one status of one service. The engine's rules may have chosen
// other services than the story expects: skip the replies of those that it did
// not assign.
type HistoricReply struct{ Service, Status, OrderNumber, Comment string }

// How much one made-up day holds: the city's own notifications, and its contacts
// and incidents scaled down so that a day loads in seconds.
const (
	HistoryIncidents = 300
	HistoryNotices   = 1250
	historyAlarms    = 42 // notifications that were forwarded for response
	historySMS       = 4
)

// HistoryOperators are the logins that act in a history.
var HistoryOperators = []string{"operator1", "operator2", "operator3"}

// HistorySupervisor is the login that closes cards in a history.
const HistorySupervisor = "supervisor"

// History makes up the 24 hours that begin at from, in the order of time. Every
// story has ended when they are over, so that a board that is opened afterwards
// is empty. The facilities are those of Build(seed).
func History(seed uint64, from time.Time) []Fact {
	h := &historian{
		rng: rand.New(rand.NewPCG(seed, 0x68697374)), teller: NewTeller(seed ^ 0x68),
		from: from.UTC().Truncate(time.Second), facilities: Build(seed), seqs: map[string]int{},
	}
	for i := range HistoryIncidents - historyAlarms {
		h.contact(i < historySMS)
	}
	for range historyAlarms {
		h.alarm()
	}
	for h.notices < HistoryNotices {
		h.noise()
	}
	slices.SortStableFunc(h.facts, func(a, b Fact) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Story, b.Story))
	})
	// Sequence numbers count along each panel's own time.
	for i, f := range h.facts {
		if f.Notice != nil {
			h.seqs[f.Notice.Account]++
			h.facts[i].Notice.Seq = h.seqs[f.Notice.Account]
		}
	}
	return h.facts
}

type historian struct {
	rng        *rand.Rand
	teller     *Teller
	from       time.Time
	facilities []Facility
	facts      []Fact
	stories    int
	notices    int
	seqs       map[string]int
}

// hours is the shape of a day: contacts by hour, the night thin, the evening thick.
var hours = []int{5, 4, 3, 2, 2, 2, 3, 5, 8, 9, 10, 10, 10, 10, 10, 10, 11, 12, 12, 12, 11, 10, 8, 6}

// storyLength is the longest that a story may take: none begins later than that
// before the end of the day.
const storyLength = 100 * time.Minute

func (h *historian) moment(room time.Duration) time.Time {
	for {
		hour := h.rng.IntN(24)
		if h.rng.IntN(12) >= hours[h.from.Add(time.Duration(hour)*time.Hour).Hour()] {
			continue
		}
		d := time.Duration(hour)*time.Hour + time.Duration(h.rng.Int64N(int64(time.Hour/time.Millisecond)))*time.Millisecond
		if d < 24*time.Hour-room {
			return h.from.Add(d)
		}
	}
}

// between draws a duration of whole milliseconds.
func (h *historian) between(least, most time.Duration) time.Duration {
	return least + time.Duration(h.rng.Int64N(int64((most-least)/time.Millisecond)))*time.Millisecond
}

func (h *historian) add(f Fact) { h.facts = append(h.facts, f) }

func (h *historian) contact(sms bool) {
	h.stories++
	n := h.stories
	at := h.moment(storyLength)
	by := pick(h.rng, HistoryOperators)
	story := h.teller.Story()
	c := &HistoricContact{
		Key: fmt.Sprintf("history-%d-%d", h.from.Unix(), n), Caller: h.teller.Caller(), Called: "112",
	}
	typed := at.Add(h.between(25*time.Second, 90*time.Second))
	if sms {
		c.Text, story = h.teller.SMS()
		h.add(Fact{At: at, What: Texted, Story: n, Contact: c})
	} else {
		h.add(Fact{At: at, What: Called, Story: n, Contact: c})
		h.add(Fact{At: at.Add(h.between(time.Second, 8*time.Second)), What: Answered, Story: n})
		h.add(Fact{At: typed.Add(h.between(2*time.Second, 20*time.Second)), What: HungUp, Story: n, Reason: "caller_hung_up"})
	}
	if !story.Needed() {
		h.add(Fact{At: typed, What: Dismissed, Story: n, Reason: story.Reason, By: by})
		return
	}
	h.add(Fact{At: typed, What: Sent, Story: n, By: by, Form: &HistoricForm{
		Type: story.Type, Place: story.Place, Description: story.Description,
	}})
	h.work(n, typed, story.Services)
}

// work tells how the services went there, and how the card was closed.
func (h *historian) work(story int, at time.Time, services []string) {
	end := at
	for i, s := range services {
		order := fmt.Sprintf("%s-%d", map[string]string{"police": "П", "fire": "МЧС", "gas": "Г", "medical": "С"}[s], 1000+story*4+i)
		t := at
		for _, step := range []struct {
			status      string
			least, most time.Duration
		}{
			{"received", 300 * time.Millisecond, 2 * time.Second},
			{"accepted", 3 * time.Second, 25 * time.Second},
			{"en_route", 20 * time.Second, 90 * time.Second},
			{"arrived", 3 * time.Minute, 14 * time.Minute},
			{"working", 20 * time.Second, 2 * time.Minute},
			{"completed", 10 * time.Minute, 60 * time.Minute},
		} {
			t = t.Add(h.between(step.least, step.most))
			h.add(Fact{At: t, What: Replied, Story: story, Reply: &HistoricReply{
				Service: s, Status: step.status, OrderNumber: order,
			}})
		}
		if t.After(end) {
			end = t
		}
	}
	h.add(Fact{At: end.Add(h.between(30*time.Second, 4*time.Minute)), What: Closed, Story: story, Reason: "worked", By: HistorySupervisor})
}

// alarm is an urgent notification with its incident, the services' work and the
// restore afterwards.
func (h *historian) alarm() {
	h.stories++
	n := h.stories
	at := h.moment(storyLength)
	f := pick(h.rng, h.facilities)
	z := pick(h.rng, f.Panels[0].Zones)
	h.notify(n, at, f, z.Kind, "alarm", "1"+z.Code, z.Area, z.Number, true)
	h.work(n, at, servicesFor[z.Kind])
	h.notify(n, at.Add(h.between(time.Minute, 9*time.Minute)), f, z.Kind, "restore", "3"+z.Code, z.Area, z.Number, false)
}

// servicesFor is what the demo's rules choose for an alarm.
var servicesFor = map[string][]string{
	ZoneFire: {"fire"}, ZonePanic: {"police"}, ZoneIntrusion: {"police"}, ZoneGas: {"gas", "fire"},
}

// noise is what most notifications are: tests, mains, batteries, arming.
func (h *historian) noise() {
	f := pick(h.rng, h.facilities)
	at := h.moment(time.Hour)
	later := at.Add(h.between(2*time.Minute, 50*time.Minute))
	area, zone := "00", "000"
	switch n := h.rng.IntN(100); {
	case n < 45:
		h.notify(0, at, f, "test", "test", "1602", area, zone, false)
	case n < 75 && f.Has(ZoneIntrusion):
		user := fmt.Sprintf("%03d", 1+h.rng.IntN(9))
		code, condition := "3401", "close"
		if hour := at.Hour(); hour >= 3 && hour < 12 {
			code, condition = "1401", "open"
		}
		h.notify(0, at, f, "arming", condition, code, "03", user, false)
	case n < 90:
		h.notify(0, at, f, "power", "trouble", "1301", area, zone, false)
		h.notify(0, later, f, "power", "restore", "3301", area, zone, false)
	case n < 95:
		h.notify(0, at, f, "fire-trouble", "trouble", "1373", "01", "002", false)
		h.notify(0, later, f, "fire-trouble", "restore", "3373", "01", "002", false)
	default:
		h.notify(0, at, f, "power", "trouble", "1302", area, zone, false)
		h.notify(0, later, f, "power", "restore", "3302", area, zone, false)
	}
}

func (h *historian) notify(story int, at time.Time, f Facility, class, condition, code, area, zone string, urgent bool) {
	if h.notices >= HistoryNotices {
		return
	}
	h.notices++
	h.add(Fact{At: at, What: Notified, Story: story, Notice: &HistoricNotice{
		Account: f.Panels[0].Account, Facility: f.Code, Protocol: ContactID, Class: class,
		Condition: condition, Code: code, Area: area, Zone: zone, Urgent: urgent,
	}})
}

// Frame is the historic notification as the panel would have sent it: the bytes
// between the quotes and the closing bracket of an ADM-CID message, without the
// envelope. It is what «raw» shows for a notification of the made-up past.
func (n HistoricNotice) Frame() string {
	return `"ADM-CID"` + fmt.Sprintf("%04d", n.Seq) + "L0#" + n.Account +
		"[#" + n.Account + "|" + n.Code + " " + n.Area + " " + n.Zone + "]"
}
