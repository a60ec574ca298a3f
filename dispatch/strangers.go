package dispatch

import (
	"fmt"
	"time"
)

// gathered is the description of the draft that gathers strangers. It carries
// the count, so that every node and every restart goes on from it; a person who
// writes another description ends the counting, not the gathering.
const gathered = "Неизвестные объекты: ещё %d (счета и тревоги — в журнале карточки)"

// OpenForStrangers makes the one draft that gathers the alarms of unknown
// facilities when so many have drafts of their own that the board would drown in
// more. It is the system's card: it has neither type nor class, because its
// alarms may differ, and like every draft it is never routed by itself.
func OpenForStrangers(s Signal) Decide {
	return func(c Card) (Card, []Event, error) {
		c.State, c.Origin, c.UnknownFacility = Draft, OriginAlarm, true
		c.Description = fmt.Sprintf(gathered, 1)
		c.OpenedAt = s.At.UTC().Truncate(time.Microsecond)
		c.LastSignalAt = c.OpenedAt
		d := s.details()
		d.Card = c.Snapshot()
		return c, []Event{newEvent(c.ID, EventOpened, System, s.At, d)}, nil
	}
}

// GatherStranger adds an alarm to that draft. A card that a person has made
// something of refuses: the next strangers are a new question.
func GatherStranger(s Signal) Decide {
	add := AddSignal(s)
	return func(c Card) (Card, []Event, error) {
		if c.State != Draft {
			return c, nil, &TransitionError{What: "incident", From: string(c.State), To: "signal"}
		}
		var n int
		if _, err := fmt.Sscanf(c.Description, gathered, &n); err == nil && c.Description == fmt.Sprintf(gathered, n) {
			c.Description = fmt.Sprintf(gathered, n+1)
		}
		return add(c)
	}
}
