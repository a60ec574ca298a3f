package crash

import (
	"encoding/json"
	"fmt"
	"hash/fnv"

	"github.com/google/uuid"

	"nabat/dispatch"
)

// seat is a person at a console, who came in by a bearer token.
type seat struct {
	name, role string
	service    dispatch.Service // of a duty officer
	// share and shares say which cards are this person's among those of the role.
	share, shares uint32
	token         string
}

func (s *seat) actor() string {
	role := s.role
	if s.service != "" {
		role = "duty"
	}
	return role + ":token:" + s.name
}

// staff are the people at the consoles of a house.
func staff() []*seat {
	var out []*seat
	for i := range uint32(2) {
		out = append(out,
			&seat{name: fmt.Sprintf("taker%d", i), role: "operator", share: i, shares: 2},
			&seat{name: fmt.Sprintf("shift%d", i), role: "supervisor", share: i, shares: 2})
	}
	for _, s := range []dispatch.Service{dispatch.Police, dispatch.Fire, dispatch.Gas, dispatch.Medical} {
		out = append(out, &seat{name: "duty-" + string(s), role: "duty:" + string(s), service: s, shares: 1})
	}
	return out
}

// order is one command of a person.
type order struct {
	seat               *seat
	id, kind, incident string
	// mark is text of its own that the effect leaves in the journal.
	mark     string
	text     []byte // as it is sent, the same each time
	tries    int
	life     int
	answered bool
	code     string // what was refused; empty: done
	again    int    // how often it was sent once more after its answer
}

func (r *order) String() string {
	return fmt.Sprintf("%s %s of %s on card %s (tries %d, answered %v %q by life %d, again %d)",
		r.kind, r.id, r.seat.name, r.incident, r.tries, r.answered, r.code, r.life, r.again)
}

// card is what a person looks at.
type card struct {
	ID          string `json:"id"`
	State       string `json:"state"`
	Origin      string `json:"origin"`
	Caller      string `json:"caller"`
	Description string `json:"description"`
	Contacts    []struct {
		State string `json:"state"`
	} `json:"contacts"`
	Assignments []struct {
		Service dispatch.Service         `json:"service"`
		State   dispatch.AssignmentState `json:"state"`
	} `json:"assignments"`
}

func (c *card) over() bool { return c.State == "closed" || c.State == "cancelled" }

// draw gives a number that depends on the card alone, so that it is the same
// before and after a restart, and for everybody who asks.
func draw(id, what string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(what + " " + id))
	return h.Sum32()
}

// Who speaks for a service in an incident: its own system on Kafka, its duty
// officer at the console, or first the one and then the other.
func systemAccepts(s dispatch.Service, incident string) bool {
	return draw(incident, string(s))%8 != 7
}
func systemCompletes(s dispatch.Service, incident string) bool {
	n := draw(incident, string(s)) % 8
	return n >= 3 && n <= 5
}

// quiet tells that nobody is or will be on a card's lines: a card that is closed
// during a call ends the call.
func (d *desk) quiet(c *card) bool {
	for _, k := range c.Contacts {
		if k.State != string(dispatch.ContactEnded) {
			return false
		}
	}
	if c.Origin != string(dispatch.OriginCall) {
		return true
	}
	done := false
	d.o.ledger.note(func() {
		if a := d.o.ledger.calls[c.Caller]; a != nil {
			done = a.done
		}
	})
	return done
}

// choose finds something to do.
func (d *desk) choose() *order {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, c := range d.cards {
		if draw(id, d.seat.role)%d.seat.shares != d.seat.share || !d.quiet(&c) {
			continue
		}
		if r := d.decide(&c); r != nil {
			d.steps[id]++
			return r
		}
	}
	return nil
}

type form struct {
	Type        dispatch.Type `json:"type"`
	Place       string        `json:"place"`
	Description string        `json:"description"`
}

type command struct {
	T           string                   `json:"t"`
	ID          string                   `json:"id"`
	Kind        string                   `json:"kind"`
	Incident    string                   `json:"incident"`
	Form        *form                    `json:"form,omitempty"`
	Reason      string                   `json:"reason,omitempty"`
	Status      dispatch.AssignmentState `json:"status,omitempty"`
	OrderNumber string                   `json:"orderNumber,omitempty"`
	Comment     string                   `json:"comment,omitempty"`
}

// needs are the types that call-takers give; each has its services.
var needs = []dispatch.Type{
	dispatch.TypeFire, dispatch.TypeGas, dispatch.TypeMedical, dispatch.TypeCrime, dispatch.TypeRoadAccident,
}

// decide makes the next command for a card, if this person has one to give.
func (d *desk) decide(c *card) *order {
	cmd := command{T: "cmd", ID: uuid.NewString(), Incident: c.ID}
	mark := "mark " + cmd.ID
	step, plan := d.steps[c.ID], draw(c.ID, "plan")
	switch {
	case d.seat.service != "":
		state := c.part(d.seat.service)
		switch n := draw(c.ID, string(d.seat.service)) % 8; {
		case n == 7 && step == 0 && (state == dispatch.Published || state == dispatch.Added):
			cmd.Status = dispatch.Accepted
		case n == 6 && step == 0 && state == dispatch.Accepted:
			cmd.Status = dispatch.EnRoute
		case n >= 6 && step == 1 && (state == dispatch.Accepted || state == dispatch.EnRoute):
			cmd.Status = dispatch.Completed
		default:
			return nil
		}
		cmd.Kind, cmd.Comment, cmd.OrderNumber = "reply", mark, "N"+cmd.ID[:8]
	case d.seat.role == "supervisor":
		switch {
		case step > 0:
			return nil
		case c.State == string(dispatch.Worked):
			cmd.Kind, cmd.Reason = "close", mark
		case plan%4 == 0 && (c.State == string(dispatch.Dispatched) || c.State == string(dispatch.UnderWay)):
			cmd.Kind, cmd.Reason = "cancel", mark
		default:
			return nil
		}
	default:
		draft := c.State == string(dispatch.Draft)
		cmd.Form = &form{needs[plan/7%uint32(len(needs))], "Садовая ул., " + cmd.ID[:4], mark}
		switch {
		case draft && step == 0 && plan%5 == 0:
			cmd.Kind, cmd.Form, cmd.Reason = "closeWithoutResponse", nil, string(dispatch.NoResponseDropped)
		case draft && step == 0 && plan%5 == 1:
			cmd.Kind = "save"
		case draft && step < 2:
			cmd.Kind = "send"
		case step > 0 && step < 3 && plan%5 > 2 && (c.State == string(dispatch.Dispatched) || c.State == string(dispatch.UnderWay)):
			cmd.Kind = "send" // once more, with other words
		default:
			return nil
		}
	}
	text, err := json.Marshal(cmd)
	if err != nil {
		panic(err) // strings only
	}
	return &order{seat: d.seat, id: cmd.ID, kind: cmd.Kind, incident: c.ID, mark: mark, text: text}
}
