package alarms

import (
	"time"

	"nabat/dispatch"
)

// Protocols, as stored with a notification: what the event was written in.
const (
	ProtocolContactID = "ADM-CID"
	ProtocolSIA       = "SIA-DCS"
)

// Event is one event of a message in the house's words.
type Event struct {
	Class     Class
	Condition Condition
	Code      string // as sent, with the qualifier of Contact ID: 1110, FA
	Area      string // as sent, leading zeros kept
	Zone      string
	User      string
	Text      string // the panel's own words, if it sent any
	Title     string // what the code's table calls it, Russian
}

// Message is what a reader made of one message of one account. Strings share
// memory with Raw.
type Message struct {
	Account string // upper case; names the object
	// Link is the account of the envelope when it is another one: nobody
	// vouches then that the message is the object's own.
	Link       string
	Protocol   string
	Seq        string
	Events     []Event // none: a heartbeat, or a message that says nothing
	OccurredAt time.Time
	// ClockWrong says that the panel's time is outside the window or no time.
	ClockWrong bool
	ReceivedAt time.Time
	Peer       string
	Raw        string
}

// Notification is one event as it is stored (извещение).
type Notification struct {
	ID         dispatch.NotificationID
	ReceivedAt time.Time // UTC, whole microseconds
	OccurredAt time.Time // zero: the panel did not say
	Account    string
	Panel      dispatch.PanelID // zero: nobody registered the account
	Facility   dispatch.FacilityID
	Protocol   string
	Class      Class
	Condition  Condition
	Code       string
	Area       string
	Zone       string
	User       string
	Text       string
	Raw        string
	Peer       string
	Seq        string // only a hint: panels repeat it, reset it, or renew it
	Duplicate  bool
	DedupKey   string
	Incident   dispatch.IncidentID
	Why        string
}

func (n *Notification) signal() dispatch.Signal {
	return dispatch.Signal{
		Notification: n.ID, Account: n.Account, Class: string(cardClass(n.Class)),
		Condition: string(n.Condition), Zone: n.Zone, Text: n.Text, At: n.ReceivedAt,
	}
}

// Sentences that say why a notification was treated so, Russian first.
const (
	whyRow        = "записано: такое извещение карточку не открывает / stored: such a notification opens no card"
	whyUnknown    = "код не описан: сохранено как есть / undescribed code: kept as it came"
	whyRepeat     = "повтор извещения в пределах 60 с / repeat of a notification within 60 s"
	whyOpened     = "тревога этого класса открывает карточку без участия человека / an alarm of this class opens a card by itself"
	whyJoined     = "новый сигнал того же объекта и класса: добавлен в открытую карточку / further signal of the same facility and class: joined the open card"
	whyNoted      = "отмечено в открытой карточке, она не закрывается / noted on the open card, which stays open"
	whyDraft      = "неизвестный объект: черновик ждёт оператора, сам не отправляется / unknown facility: a draft waits for an operator and is never routed by itself"
	whyGathered   = "неизвестных объектов много: добавлено в общий черновик, сам он не отправляется / many unknown facilities: gathered in one draft, never routed by itself"
	whyStranger   = "неизвестный объект: сохранено для разбора / unknown facility: kept for adoption"
	whyMismatch   = "счета конверта и данных различаются: объект считается неизвестным / envelope and data name different accounts: treated as an unknown facility"
	whyClockWrong = "; часы прибора неверны / panel clock wrong"
)
