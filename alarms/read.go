package alarms

import (
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"nabat/alarms/contactid"
	"nabat/alarms/dc09"
	"nabat/alarms/siadcs"
)

// The time window of DC-09: how far a frame's time may be off ours.
const (
	clockBehind = 40 * time.Second
	clockAhead  = 20 * time.Second
)

// Read says what a DC-09 frame means. The verdict is 0 when there is something
// to take; else it is final, and only the envelope is known.
func Read(f dc09.Frame, peer string, at time.Time) (dc09.Message, Message, Verdict) {
	env, err := dc09.Parse(f)
	msg := Message{
		Account: strings.ToUpper(env.Account), Seq: env.Seq, Raw: env.Raw, Peer: peer,
		ReceivedAt: at.UTC().Truncate(time.Microsecond),
	}
	switch env.Token {
	case "ACK", "NAK", "DUH", "RSP":
		return env, msg, Answer
	}
	var syntax *dc09.SyntaxError
	switch {
	case errors.As(err, &syntax) && syntax.Echo && env.Encrypted:
		return env, msg, Sealed // a DUH in clear would end its tries for ever
	case errors.As(err, &syntax) && syntax.Echo:
		return env, msg, Unusable
	case err != nil:
		return env, msg, Malformed
	}
	if env.Encrypted {
		return env, msg, Sealed
	}
	switch env.Token {
	case dc09.TokenContactID, dc09.TokenSIA, dc09.TokenNull:
	default:
		return env, msg, UnknownToken
	}
	msg.readTime(&env)
	if env.Token == dc09.TokenNull {
		return env, msg, 0 // whatever its body says: makers fill it with dummies
	}
	account, content := dc09.SplitData(env.Data)
	switch {
	case account == "":
	case msg.Account == "":
		msg.Account = strings.ToUpper(account)
	case !strings.EqualFold(account, env.Account):
		msg.Account, msg.Link = strings.ToUpper(account), msg.Account
	}
	if msg.Account == "" {
		return env, msg, Unusable
	}
	msg.Protocol = env.Token
	if env.Token == dc09.TokenContactID {
		msg.Events = readContactID(content)
	} else {
		msg.Events = readSIA(content)
	}
	return env, msg, 0
}

// readTime takes the H field (when it happened) before the frame's own time
// (when it was sent), and judges the clock by the latter.
func (m *Message) readTime(env *dc09.Message) {
	if env.Time != "" {
		sent, err := dc09.ParseTime(env.Time)
		off := m.ReceivedAt.Sub(sent)
		if err != nil || off > clockBehind || off < -clockAhead {
			m.ClockWrong = true
		}
		m.OccurredAt = sent
	}
	if h, ok := env.Occurred(); ok {
		if t, err := dc09.ParseTime(h); err == nil {
			m.OccurredAt = t
		}
	}
}

// readContactID reads the one event of a block. Some makers put a field of their
// own before it. What cannot be read is kept, never refused.
func readContactID(content string) []Event {
	if content == "" {
		return nil
	}
	for rest := content; ; {
		part, more, found := strings.Cut(rest, "|")
		if e, err := contactid.Parse(part); err == nil {
			return []Event{contactIDEvent(e)}
		}
		if !found {
			return []Event{unreadable(content)}
		}
		rest = more
	}
}

func contactIDEvent(e contactid.Event) Event {
	ev := Event{
		Class: ClassUnknown, Condition: UnknownCond, Area: e.Area, Zone: e.Number,
		Code: string(e.Qualifier) + e.Code,
	}
	entry, known := contactid.Lookup(e.Code)
	cond, ok := entry.Condition(e.Qualifier)
	if !known || !ok {
		ev.Title = classTitles[ClassUnknown].ru
		return ev
	}
	ev.Class, ev.Condition, ev.Title = Class(entry.Class), Condition(cond), endings[Condition(cond)]+entry.RU
	if entry.User {
		ev.Zone, ev.User = "", e.Number
	}
	return ev
}

func readSIA(content string) []Event {
	es, err := siadcs.Parse(content)
	if err != nil {
		return []Event{unreadable(content)}
	}
	if len(es) == 0 {
		return nil
	}
	events := make([]Event, len(es))
	for i, e := range es {
		ev := Event{
			Class: ClassUnknown, Condition: UnknownCond, Code: e.Code, Area: clean(e.Area),
			Zone: e.Number, User: clean(e.User), Text: clean(e.Text),
		}
		if entry, known := siadcs.Lookup(e.Code); known {
			ev.Class, ev.Condition = Class(entry.Class), Condition(entry.Condition)
			if entry.User {
				ev.Zone = ""
				if e.Number != "" {
					ev.User = e.Number
				}
			}
		}
		ev.Title = siaTitle(e.Code)
		events[i] = ev
	}
	return events
}

// unreadable keeps a block that is no event.
func unreadable(content string) Event {
	return Event{
		Class: ClassUnknown, Condition: UnknownCond, Text: clean(content), Title: classTitles[ClassUnknown].ru,
	}
}

// clean makes text that a database takes: UTF-8 without NUL. The octets as they
// came stay in Raw.
func clean(s string) string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
