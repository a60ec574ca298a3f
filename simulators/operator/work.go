package operator

import (
	"hash/fnv"
	"slices"
	"time"

	"github.com/google/uuid"

	"nabat/simulators/city"
)

// mine tells whether the card waits for this person.
func (p *Person) mine(c Card) bool {
	h := fnv.New32a()
	h.Write([]byte(c.ID))
	if int(h.Sum32()%uint32(p.o.Seats)) != p.o.Seat {
		return false
	}
	if p.o.Role == Supervisor {
		return c.State == "worked" || c.stuck()
	}
	// Type or place on a draft: a person has begun to type.
	return c.State == "draft" && (c.Origin == "call" || c.Origin == "sms") && c.Type == "" && c.Place == ""
}

// pause is how long a person takes before acting on a card.
func (p *Person) pause(c Card) time.Duration {
	least, most := 12*time.Second, 45*time.Second // ask and type while the caller speaks
	switch {
	case p.o.Role == Supervisor && c.State != "worked":
		least, most = 2*time.Minute, 5*time.Minute // a real person may step in before
	case p.o.Role == Supervisor:
		least, most = 15*time.Second, 90*time.Second
	case c.Origin == "sms":
		least, most = 8*time.Second, 25*time.Second
	}
	return time.Duration(float64(least+time.Duration(p.rng.Int64N(int64(most-least)))) / p.o.Speed)
}

// decide makes the command for a card.
func (p *Person) decide(c Card) command {
	cmd := command{T: "cmd", ID: uuid.NewString(), Incident: c.ID}
	if p.o.Role == Supervisor {
		cmd.Kind, cmd.Reason = "close", "Работы завершены всеми службами"
		if c.State != "worked" {
			cmd.Reason = "Службы отказались, передано по телефону"
		}
		return cmd
	}
	story := p.teller.Story()
	if c.Origin == "sms" {
		kind, place := city.Guess(c.Description)
		story = city.Story{Type: kind, Place: place, Description: c.Description}
	}
	if c.unheard() {
		story = city.Story{Reason: "dropped"}
	}
	if !story.Needed() {
		cmd.Kind, cmd.Reason = "closeWithoutResponse", story.Reason
		return cmd
	}
	cmd.Kind = "send"
	cmd.Form = &form{
		words{story.Type, story.Place, story.Description},
		words{c.Type, c.Place, c.Description},
	}
	return cmd
}

func (p *Person) result(f frame) {
	w := p.pending[f.ID]
	if w == nil {
		p.tally.Note("results nobody waits for", 1)
		return
	}
	if !f.OK && f.Error != nil && f.Error.Code == busy {
		p.tally.Note(busy, 1)
		w.again = time.Now().Add(time.Second)
		return
	}
	delete(p.pending, f.ID)
	switch {
	case f.OK:
		p.tally.Acknowledged(time.Since(w.first))
		p.tally.Note(w.cmd.Kind, 1)
	case f.Error != nil && f.Error.Code == "conflict":
		// Somebody was faster: a real person at the same card.
		p.tally.Acknowledged(time.Since(w.first))
		p.tally.Note("somebody was faster", 1)
		if c, open := p.board.cards[w.cmd.Incident]; f.Error.Field != "" && open && p.mine(c) {
			delete(p.decided, c.ID) // at one field only: the card still waits, so read it again
			p.todo[c.ID] = time.Now().Add(p.pause(c))
		}
	default:
		why := "no reason"
		if f.Error != nil {
			why = f.Error.Code + " " + f.Error.Field + ": " + f.Error.EN
		}
		p.tally.Refused(w.cmd.Kind + ": " + why)
	}
}

func (p *Person) remember(id string) {
	if !p.decided[id] {
		p.decided[id] = true
		p.order = append(p.order, id)
	}
	if len(p.order) > maxDecided {
		delete(p.decided, p.order[0])
		p.order = slices.Delete(p.order, 0, 1)
	}
}
