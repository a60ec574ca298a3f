package dispatch

import "time"

// ContactKind is how somebody approached us.
type ContactKind string

// Kinds of contact.
const (
	ContactCall  ContactKind = "call"
	ContactSMS   ContactKind = "sms"
	ContactECall ContactKind = "ecall"
)

// ContactState is where a contact is. An SMS is born ended.
type ContactState string

// States of a contact.
const (
	ContactRinging  ContactState = "ringing"
	ContactAnswered ContactState = "answered"
	ContactEnded    ContactState = "ended"
)

// EndReason is why a contact ended.
type EndReason string

// Reasons.
const (
	EndCallerHungUp EndReason = "caller_hung_up"
	EndCancelled    EndReason = "cancelled" // the caller gave up before the answer
	EndOperator     EndReason = "operator"
	EndLineLost     EndReason = "line_lost" // our process or the line died
	EndNoMedia      EndReason = "no_media"  // no common codec
	EndNoAck        EndReason = "no_ack"    // our 200 was never acknowledged
	EndShutdown     EndReason = "shutdown"
	EndDelivered    EndReason = "delivered" // an SMS
)

// Contact is one approach from outside by a person (обращение, УЧОЛ).
type Contact struct {
	ID   ContactID
	Kind ContactKind
	// Key recognises a repeat: for SIP the Call-ID, From tag and CSeq. Unique.
	Key string
	// Run is the engine process that holds the line.
	Run      RunID
	Incident IncidentID
	Caller   string // as the network gave it; empty when hidden
	Called   string
	Peer     string // network address of the trunk
	Text     string // an SMS's text
	// Body is an SMS as it came and ContentType says what it was declared to be:
	// Text is what we made of it, and may hold replacement characters.
	Body        []byte
	ContentType string
	State       ContactState
	ReceivedAt  time.Time
	AnsweredAt  time.Time
	EndedAt     time.Time
	EndReason   EndReason
	// CallbackDue: the line went before anybody could help; ring back.
	CallbackDue bool
}

// Progress is a later fact about a contact.
type Progress struct {
	ID       ContactID
	Incident IncidentID
	State    ContactState
	At       time.Time
	Reason   EndReason
	Why      string // what made the reason known, for the journal; may be empty
	// Run takes the contact over when a caller's INVITE comes again after our
	// restart; zero leaves it.
	Run         RunID
	CallbackDue bool
}

// After is the contact once it has heard p. If nothing changes p was heard
// before: its sender lost the answer.
func (c Contact) After(p Progress) Contact {
	c.State, c.EndReason, c.CallbackDue = p.State, p.Reason, p.CallbackDue
	if p.State == ContactAnswered && c.AnsweredAt.IsZero() {
		c.AnsweredAt = p.At
	}
	c.EndedAt = time.Time{}
	if p.State == ContactEnded {
		c.EndedAt = p.At
	}
	if !p.Run.IsZero() {
		c.Run = p.Run
	}
	return c
}

// Same says whether two readings of one contact stand at the same point.
func (c Contact) Same(d Contact) bool {
	return c.ID == d.ID && c.State == d.State && c.EndReason == d.EndReason && c.CallbackDue == d.CallbackDue &&
		c.Run == d.Run && c.AnsweredAt.Equal(d.AnsweredAt) && c.EndedAt.Equal(d.EndedAt)
}
