package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"nabat/dispatch"
)

// Kind is what a command does.
type Kind string

// Kinds of command.
const (
	KindSave                 Kind = "save"                 // keep what was typed; not routed
	KindSend                 Kind = "send"                 // register and route
	KindCloseWithoutResponse Kind = "closeWithoutResponse" // reason from the classifier
	KindClose                Kind = "close"
	KindCancel               Kind = "cancel"
	KindReply                Kind = "reply" // a duty officer's word
	KindHangUp               Kind = "hangUp"
)

// Bounds of free text, in characters.
const (
	maxReason      = 500
	maxComment     = 2000
	maxOrderNumber = 100
)

// Command asks for one change of one card. ID is made by the client and stored
// with the effect, so that sending the command again is harmless.
type Command struct {
	ID          string                   `json:"id" format:"uuid" doc:"made by the client; a resend with the same id has no further effect"`
	Kind        Kind                     `json:"kind" enum:"save,send,closeWithoutResponse,close,cancel,reply,hangUp"`
	Incident    string                   `json:"incident" format:"uuid"`
	Form        *Form                    `json:"form,omitempty" doc:"of save and send: the fields to change; a send without it sends the draft as it is stored"`
	Reason      string                   `json:"reason,omitempty" doc:"of closeWithoutResponse (from the classifier), close and cancel"`
	Status      dispatch.AssignmentState `json:"status,omitempty" doc:"of reply: received, accepted, refused, en_route, arrived, working, completed, work_refused"`
	OrderNumber string                   `json:"orderNumber,omitempty" doc:"of reply"`
	Comment     string                   `json:"comment,omitempty" doc:"of reply; mandatory for refused and work_refused"`
	Service     dispatch.Service         `json:"service,omitempty" doc:"of reply; a duty officer's own may be left out"`
}

// Form is what changes in the small form: a field that is absent (or null) is
// left alone.
type Form struct {
	Type        *dispatch.Type `json:"type,omitempty" doc:"absent: left alone"`
	Place       *string        `json:"place,omitempty" doc:"absent: left alone"`
	Description *string        `json:"description,omitempty" doc:"absent: left alone"`
	Base        *Base          `json:"base,omitempty" doc:"the stored values that the new ones grew from. A command whose base was changed by somebody else meanwhile is refused whole, as a conflict that names the field; a field without a base is set"`
}

// Base are the stored values that a form's fields grew from.
type Base struct {
	Type        *dispatch.Type `json:"type,omitempty"`
	Place       *string        `json:"place,omitempty"`
	Description *string        `json:"description,omitempty"`
}

// Result is a command's answer. The code «busy» says that nothing is known of
// the effect: send the command again with the same id.
type Result struct {
	ID       string    `json:"id"`
	OK       bool      `json:"ok"`
	Incident *Incident `json:"incident,omitempty" doc:"the card as it stands now"`
	Error    *Fault    `json:"error,omitempty"`
}

// outcome is what the commands table keeps of a result: no personal data.
type outcome struct {
	OK       bool   `json:"ok"`
	Incident string `json:"incident"`
	Error    *Fault `json:"error,omitempty"`
}

// CommandStore applies a change once per (actor, id), with its outcome stored in
// the same transaction.
type CommandStore interface {
	// Outcome is what was stored for a command; dispatch.ErrNotFound.
	Outcome(ctx context.Context, actor string, id uuid.UUID) ([]byte, error)
	// Apply runs d on the card and stores what record returns, both or neither.
	// If the command is stored already, by whoever was faster, nothing changes and
	// that outcome is returned. dispatch.ErrNotFound: no such card.
	Apply(ctx context.Context, actor string, id uuid.UUID, at time.Time, incident dispatch.IncidentID,
		d dispatch.Decide, record func() []byte) ([]byte, error)
}

// Cards reads cards; dispatch/postgres has them.
type Cards interface {
	Cards(ctx context.Context, ids []dispatch.IncidentID) ([]dispatch.Card, error)
	IncidentEvents(ctx context.Context, id dispatch.IncidentID) ([]dispatch.Event, error)
}

// CardContacts reads the contacts of cards, in the order of their arrival.
type CardContacts interface {
	IncidentContacts(ctx context.Context, ids []dispatch.IncidentID) ([]dispatch.Contact, error)
}

// HangUp ends a live call. It returns when the leg is told to end; that it has
// ended comes by the journal.
type HangUp interface {
	HangUp(ctx context.Context, id dispatch.ContactID, by dispatch.Actor) error
}

// clerk carries out commands.
type clerk struct {
	store    CommandStore
	cards    Cards
	contacts CardContacts
	router   dispatch.Router
	hangUp   HangUp // nil: this build has no telephone
	now      func() time.Time
	log      *zap.Logger
	metrics  *metrics
}

// do answers every command with a result, whatever happens.
func (k *clerk) do(ctx context.Context, p Person, c Command) Result {
	f := k.carry(ctx, p, c)
	res := Result{ID: c.ID, OK: f == nil, Error: f}
	label := "ok"
	if f != nil {
		label = f.Code
	}
	kind := c.Kind
	if !kind.valid() {
		kind = "unknown"
	}
	k.metrics.commands.WithLabelValues(string(kind), label).Inc()
	if f != nil && f.Code != CodeConflict && f.Code != CodeInvalid {
		return res
	}
	// The fresh card helps the screen; without it the delta tells the same.
	if id, err := dispatch.ParseIncidentID(c.Incident); err == nil {
		if v, err := k.view(ctx, p, id); err == nil {
			res.Incident = v
		}
	}
	return res
}

// view is one card as the person sees it; dispatch.ErrNotFound also when it is
// not theirs to see.
func (k *clerk) view(ctx context.Context, p Person, id dispatch.IncidentID) (*Incident, error) {
	card, err := k.card(ctx, p, id)
	if err != nil {
		return nil, err
	}
	contacts, err := k.contacts.IncidentContacts(ctx, []dispatch.IncidentID{id})
	if err != nil {
		return nil, err
	}
	v := p.audience().incident(card, contacts)
	return &v, nil
}

func (k *clerk) card(ctx context.Context, p Person, id dispatch.IncidentID) (dispatch.Card, error) {
	cards, err := k.cards.Cards(ctx, []dispatch.IncidentID{id})
	if err != nil {
		return dispatch.Card{}, err
	}
	if len(cards) != 1 || !p.Sees(cards[0]) {
		return dispatch.Card{}, dispatch.ErrNotFound
	}
	return cards[0], nil
}

func (k *clerk) carry(ctx context.Context, p Person, c Command) *Fault {
	id, err := uuid.Parse(c.ID)
	if err != nil {
		return invalid("id", "Номер команды должен быть UUID", "The command's id must be a UUID")
	}
	incident, err := dispatch.ParseIncidentID(c.Incident)
	if err != nil {
		return invalid("incident", "Неверный номер карточки", "Not an incident's id")
	}
	c.Incident = incident.String() // a UUID can be written in several ways; the outcome has this one
	if f := c.check(p); f != nil {
		return f
	}
	actor := string(p.Actor())
	// A resend is answered before anything is asked of the card.
	if stored, err := k.store.Outcome(ctx, actor, id); err == nil {
		return c.read(stored)
	} else if !errors.Is(err, dispatch.ErrNotFound) {
		return k.fault("look up command", err)
	}
	decide := k.decide(p, c)
	if c.Kind == KindHangUp {
		if f := k.endCall(ctx, incident, p.Actor()); f != nil {
			return f
		}
	}
	var out outcome
	stored, err := k.store.Apply(ctx, actor, id, k.now(), incident, func(card dispatch.Card) (dispatch.Card, []dispatch.Event, error) {
		out = outcome{OK: true, Incident: incident.String()} // a batch may run us again
		if !p.Sees(card) {
			return card, nil, dispatch.ErrNotFound
		}
		after, events, err := decide(card)
		if err == nil || errors.Is(err, dispatch.ErrUnchanged) {
			return after, events, err
		}
		f := faultOf(err)
		if f.Code != CodeInvalid && f.Code != CodeConflict {
			return card, nil, err
		}
		// The rules refused. That is this command's outcome too, kept so that a
		// resend does not suddenly succeed an hour later.
		out = outcome{Incident: incident.String(), Error: f}
		return card, nil, dispatch.ErrUnchanged
	}, out.write)
	if err != nil {
		return k.fault("carry out command", err)
	}
	return c.read(stored)
}

func (o *outcome) write() []byte {
	b, err := json.Marshal(o)
	if err != nil {
		panic("console: outcome: " + err.Error()) // strings and a bool
	}
	return b
}

// read gives the stored outcome of this very command.
func (c Command) read(stored []byte) *Fault {
	var o outcome
	if err := json.Unmarshal(stored, &o); err != nil || (!o.OK && o.Error == nil) {
		return faultOf(fmt.Errorf("stored outcome: %w", err))
	}
	if o.Incident != c.Incident {
		return invalid("id", "Такой номер уже был у другой команды", "This id was another command's")
	}
	return o.Error
}

func (k *clerk) fault(what string, err error) *Fault {
	f := faultOf(err)
	if f.Code == CodeInternal || f.Code == CodeBusy {
		k.log.Warn(what, zap.Error(err))
	}
	return f
}

// check is everything that can be refused without looking at the card.
func (c Command) check(p Person) *Fault {
	if !c.Kind.valid() {
		return invalid("kind", "Неизвестная команда", "Unknown command")
	}
	if !p.mayDo(c.Kind) {
		return forbidden("Эта команда вам не разрешена", "This command is not yours to give")
	}
	for _, v := range []struct {
		name, text string
		most       int
	}{{"reason", c.Reason, maxReason}, {"comment", c.Comment, maxComment}, {"orderNumber", c.OrderNumber, maxOrderNumber}} {
		if !utf8.ValidString(v.text) || strings.ContainsRune(v.text, 0) {
			return faultOf(&dispatch.FieldError{Field: v.name, Reason: "is not valid text"})
		}
		if utf8.RuneCountInString(v.text) > v.most {
			return faultOf(&dispatch.FieldError{Field: v.name, Reason: fmt.Sprintf("is longer than %d characters", v.most)})
		}
	}
	switch c.Kind {
	case KindSave:
		if c.Form == nil {
			return faultOf(&dispatch.FieldError{Field: "form", Reason: "must not be empty"})
		}
	case KindCloseWithoutResponse:
		if !knownNonResponse(c.Reason) {
			return faultOf(&dispatch.FieldError{Field: "reason", Reason: fmt.Sprintf("%q is not in the classifier", c.Reason)})
		}
	case KindClose, KindCancel:
		if strings.TrimSpace(c.Reason) == "" {
			return faultOf(&dispatch.FieldError{Field: "reason", Reason: "must not be empty"})
		}
	case KindReply:
		return c.checkReply(p)
	}
	return nil
}

func (c Command) checkReply(p Person) *Fault {
	if p.Role == Duty && c.Service != "" && c.Service != p.Service {
		return forbidden("Отвечать можно только за свою службу", "You may answer for your own service only")
	}
	if p.Role != Duty && !c.Service.Valid() {
		return faultOf(&dispatch.FieldError{Field: "service", Reason: "must not be empty"})
	}
	if !slices.Contains(dispatch.AssignmentStates(), c.Status) {
		return invalid("status", "Неизвестный статус", "Unknown status")
	}
	return nil
}

func (k *clerk) decide(p Person, c Command) dispatch.Decide {
	by, at := p.Actor(), k.now()
	switch c.Kind {
	case KindSave:
		return dispatch.SaveDraft(c.Form.form(), by, at)
	case KindSend:
		return dispatch.SendForm(c.Form.form(), k.router, by, at)
	case KindCloseWithoutResponse:
		return dispatch.CloseWithoutResponse(dispatch.NonResponse(c.Reason), by, at)
	case KindClose:
		return dispatch.Close(c.Reason, by, at)
	case KindCancel:
		return dispatch.Cancel(c.Reason, by, at)
	case KindReply:
		service := c.Service
		if p.Role == Duty {
			service = p.Service
		}
		return dispatch.TakeReply(dispatch.Reply{
			Service: service, To: c.Status, OrderNumber: c.OrderNumber, Comment: strings.TrimSpace(c.Comment), By: by, At: at,
		})
	default: // hangUp: what it changed comes by the journal
		return func(card dispatch.Card) (dispatch.Card, []dispatch.Event, error) {
			return card, nil, dispatch.ErrUnchanged
		}
	}
}

func (f *Form) form() dispatch.Form {
	if f == nil {
		return dispatch.Form{}
	}
	form := dispatch.Form{Type: f.Type, Place: f.Place, Description: f.Description}
	if f.Base != nil {
		form.Base = dispatch.Base(*f.Base)
	}
	return form
}

// endCall hangs up the card's live call. None is fine: it has ended by itself.
func (k *clerk) endCall(ctx context.Context, id dispatch.IncidentID, by dispatch.Actor) *Fault {
	if k.hangUp == nil {
		return &Fault{Code: CodeUnavailable, RU: "Телефония не подключена", EN: "There is no telephony here"}
	}
	contacts, err := k.contacts.IncidentContacts(ctx, []dispatch.IncidentID{id})
	if err != nil {
		return k.fault("look up call", err)
	}
	for _, ct := range contacts {
		if ct.Kind != dispatch.ContactCall || ct.State == dispatch.ContactEnded {
			continue
		}
		if err := k.hangUp.HangUp(ctx, ct.ID, by); err != nil && !errors.Is(err, dispatch.ErrNotFound) {
			return k.fault("hang up", err)
		}
	}
	return nil
}

func (k Kind) valid() bool {
	switch k {
	case KindSave, KindSend, KindCloseWithoutResponse, KindClose, KindCancel, KindReply, KindHangUp:
		return true
	}
	return false
}
