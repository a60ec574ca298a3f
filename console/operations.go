package console

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"nabat/dispatch"
)

type body[T any] struct{ Body T }

type none struct{}

type loginInput struct {
	Body struct {
		Login    string `json:"login" minLength:"1" maxLength:"64"`
		Password string `json:"password" minLength:"1" maxLength:"512"`
	}
}

type cookieOutput[T any] struct {
	SetCookie http.Cookie `header:"Set-Cookie"`
	Body      T
}

type cleared struct {
	SetCookie http.Cookie `header:"Set-Cookie"`
}

func operation(method, path, id, summary string, opts ...func(*huma.Operation)) huma.Operation {
	op := huma.Operation{
		OperationID: id, Method: method, Path: path, Summary: summary, MaxBodyBytes: MaxCommand,
		BodyReadTimeout: 10 * time.Second, Metadata: map[string]any{},
		Security: []map[string][]string{{"cookie": {}}, {"bearer": {}}},
	}
	for _, o := range opts {
		o(&op)
	}
	return op
}

func open(op *huma.Operation) { op.Metadata[metaOpen], op.Security = true, nil }

func many(op *huma.Operation) { op.Metadata[metaList] = true }

func only(roles ...Role) func(*huma.Operation) {
	return func(op *huma.Operation) { op.Metadata[metaRoles] = roles }
}

func (s *Server) accountOperations(api huma.API) {
	huma.Register(api, operation(http.MethodPost, "/api/v1/login", "login", "Войти / Log in", open),
		func(ctx context.Context, in *loginInput) (*cookieOutput[Me], error) {
			p, cookie, err := s.accounts.login(ctx, in.Body.Login, in.Body.Password, visitor(ctx).remote)
			var many *tooManyError
			switch {
			case errors.Is(err, errDenied):
				return nil, problemOf(&Fault{Code: CodeDenied, RU: "Неверный логин или пароль", EN: "Wrong login or password"})
			case errors.As(err, &many):
				seconds := int(many.wait/time.Second) + 1
				return nil, huma.ErrorWithHeaders(s.problem("log in", err), http.Header{"Retry-After": {strconv.Itoa(seconds)}})
			case err != nil:
				return nil, s.problem("log in", err)
			}
			return &cookieOutput[Me]{*sessionCookie(cookie, int(SessionLife/time.Second)), p.me()}, nil
		})
	logout := operation(http.MethodPost, "/api/v1/logout", "logout", "Выйти / Log out")
	logout.DefaultStatus = http.StatusNoContent
	huma.Register(api, logout, func(ctx context.Context, _ *none) (*cleared, error) {
		p := visitor(ctx).person
		if p.Program {
			return &cleared{*sessionCookie("", -1)}, nil // a token is revoked, not logged out
		}
		if err := s.store.EndSession(ctx, p.Key); err != nil {
			return nil, s.problem("log out", err)
		}
		s.hub.evict(p.Key)
		return &cleared{*sessionCookie("", -1)}, nil
	})
	huma.Register(api, operation(http.MethodGet, "/api/v1/me", "me", "Кто я / Who I am"),
		func(ctx context.Context, _ *none) (*body[Me], error) {
			return &body[Me]{visitor(ctx).person.me()}, nil
		})
	huma.Register(api, operation(http.MethodGet, "/api/v1/classifier", "classifier", "Классификатор / Classifier"),
		func(context.Context, *none) (*body[Classifier], error) {
			return &body[Classifier]{Classifier{dispatch.Types(), nonResponses(), s.services}}, nil
		})
	huma.Register(api, operation(http.MethodPost, "/api/v1/commands", "command", "Команда / Command"),
		func(ctx context.Context, in *body[Command]) (*body[Result], error) {
			res, _ := s.Do(ctx, visitor(ctx).person, in.Body)
			return &body[Result]{res}, nil
		})
}

// IDInput and PageInput are exported because huma fills embedded structs only then.

// IDInput names one thing.
type IDInput struct {
	ID string `path:"id" format:"uuid"`
}

// PageInput is what every list takes.
type PageInput struct {
	Limit  int       `query:"limit" minimum:"1" maximum:"500" default:"50"`
	Cursor string    `query:"cursor" maxLength:"64" doc:"«next» of the page before"`
	From   time.Time `query:"from" doc:"inclusive"`
	To     time.Time `query:"to" doc:"exclusive"`
}

// slice asks for one row more than the page shows, which tells whether there is
// a next page.
func (in PageInput) slice(kind byte) (Slice, error) {
	after, err := readCursor(kind, in.Cursor)
	return Slice{From: in.From, To: in.To, After: after, Limit: in.Limit + 1}, err
}

// List is a page of a list.
type List[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty" doc:"cursor of the next page; absent at the end; a page before it may hold fewer than limit"`
}

type incidentsInput struct {
	PageInput
	Status   string `query:"status" enum:"open,draft,registered,dispatched,under_way,worked,closed,reopened,cancelled"`
	Facility string `query:"facility" maxLength:"100" doc:"the registry's own code"`
	Service  string `query:"service" pattern:"^[a-z][a-z0-9_-]{0,31}$" maxLength:"32"`
}

type incidentEventsInput struct {
	IDInput
	PageInput
}

// Kinds of cursor.
const (
	cursorIncidents byte = iota + 1
	cursorEvents
	cursorContacts
	cursorNotifications
	cursorFacilities
	cursorPanels
)

func (s *Server) incidentOperations(api huma.API) {
	huma.Register(api, operation(http.MethodGet, "/api/v1/incidents", "incidents", "Карточки, новые сначала / Incidents, newest first", many),
		func(ctx context.Context, in *incidentsInput) (*body[List[Incident]], error) {
			page, err := s.incidents(ctx, visitor(ctx).person, *in)
			if err != nil {
				return nil, s.problem("list incidents", err)
			}
			return &body[List[Incident]]{page}, nil
		})
	huma.Register(api, operation(http.MethodGet, "/api/v1/incidents/{id}", "incident", "Одна карточка / One incident"),
		func(ctx context.Context, in *IDInput) (*body[*Incident], error) {
			id, err := dispatch.ParseIncidentID(in.ID)
			if err != nil {
				return nil, s.problem("read incident", dispatch.ErrNotFound)
			}
			v, err := s.clerk.view(ctx, visitor(ctx).person, id)
			if err != nil {
				return nil, s.problem("read incident", err)
			}
			return &body[*Incident]{v}, nil
		})
	huma.Register(api, operation(http.MethodGet, "/api/v1/incidents/{id}/events", "incidentEvents", "Журнал карточки по порядку / An incident's journal, in order", many),
		func(ctx context.Context, in *incidentEventsInput) (*body[List[Event]], error) {
			page, err := s.incidentEvents(ctx, visitor(ctx).person, *in)
			if err != nil {
				return nil, s.problem("read journal", err)
			}
			return &body[List[Event]]{page}, nil
		})
}

func (s *Server) incidents(ctx context.Context, p Person, in incidentsInput) (List[Incident], error) {
	slice, err := in.slice(cursorIncidents)
	if err != nil {
		return List[Incident]{}, err
	}
	f := IncidentFilter{Slice: slice, Status: in.Status, Facility: in.Facility, Service: dispatch.Service(in.Service)}
	if p.Role == Duty {
		if f.Service != "" && f.Service != p.Service {
			return List[Incident]{Items: []Incident{}}, nil
		}
		f.Service = p.Service
	}
	ids, err := s.store.IncidentIDs(ctx, f)
	if err != nil {
		return List[Incident]{}, err
	}
	cards, err := s.cards.Cards(ctx, ids)
	if err != nil {
		return List[Incident]{}, err
	}
	contacts, err := s.clerk.contacts.IncidentContacts(ctx, ids)
	if err != nil {
		return List[Incident]{}, err
	}
	byID := make(map[dispatch.IncidentID]*row, len(cards))
	for _, c := range cards {
		byID[c.ID] = &row{card: c}
	}
	for _, ct := range contacts {
		if r := byID[ct.Incident]; r != nil {
			r.contacts = append(r.contacts, ct)
		}
	}
	shown, next := page(ids, in.Limit, cursorIncidents, func(id dispatch.IncidentID) Position {
		at := Position{ID: [16]byte(id)}
		if r := byID[id]; r != nil {
			at.At = utc(r.card.OpenedAt)
		}
		return at
	})
	items := make([]Incident, 0, len(shown))
	for _, id := range shown {
		// The ids were of an earlier moment than the cards: one that has moved on
		// since is no longer what was asked for. The page is then shorter, and the
		// next one begins where it would have begun.
		if r := byID[id]; r != nil && inState(r.card.State, in.Status) {
			items = append(items, p.audience().incident(r.card, r.contacts))
		}
	}
	return List[Incident]{items, next}, nil
}

// inState says whether a card in this state belongs to a list of that status.
func inState(s dispatch.State, status string) bool {
	switch status {
	case "":
		return true
	case "open":
		return s.Open()
	default:
		return string(s) == status
	}
}

// incidentEvents pages a card's journal in its own order, oldest first: a card
// is read like a page, and what is new comes at the end.
func (s *Server) incidentEvents(ctx context.Context, p Person, in incidentEventsInput) (List[Event], error) {
	slice, err := in.slice(cursorEvents)
	if err != nil {
		return List[Event]{}, err
	}
	id, err := dispatch.ParseIncidentID(in.ID)
	if err != nil {
		return List[Event]{}, dispatch.ErrNotFound
	}
	if _, err := s.clerk.card(ctx, p, id); err != nil {
		return List[Event]{}, err
	}
	events, err := s.cards.IncidentEvents(ctx, id)
	if err != nil {
		return List[Event]{}, err
	}
	start := 0
	if slice.After != nil {
		start = len(events)
		for i, e := range events {
			if e.ID == dispatch.EventID(slice.After.ID) {
				start = i + 1
			}
		}
	}
	var rows []Event
	for _, e := range events[start:] {
		if len(rows) == slice.Limit {
			break
		}
		if (!slice.From.IsZero() && e.At.Before(slice.From)) || (!slice.To.IsZero() && !e.At.Before(slice.To)) {
			continue
		}
		rows = append(rows, p.audience().event(e))
	}
	items, next := page(rows, in.Limit, cursorEvents, func(e Event) Position { return Position{At: e.At, ID: [16]byte(e.ID)} })
	return List[Event]{items, next}, nil
}

type contactsInput struct {
	PageInput
	Status string `query:"status" enum:"ringing,answered,ended"`
}

type notificationsInput struct {
	PageInput
	Account  string `query:"account" maxLength:"100"`
	Facility string `query:"facility" maxLength:"100" doc:"the registry's own code"`
}

type facilitiesInput struct{ PageInput }

type panelsInput struct {
	PageInput
	Account  string `query:"account" maxLength:"100"`
	Facility string `query:"facility" maxLength:"100" doc:"the registry's own code"`
}

// listed registers a list whose rows come from one read.
func listed[In, Row, View any](s *Server, api huma.API, id, summary string, kind byte, slice func(In) PageInput,
	read func(context.Context, In, Slice) ([]Row, error), at func(Row) Position, view func(Row) View,
) {
	// Duty officers see incidents of their own service only, so no list beside those.
	op := operation(http.MethodGet, "/api/v1/"+id, id, summary, many, only(Operator, Supervisor, Admin, Auditor))
	huma.Register(api, op, func(ctx context.Context, in *In) (*body[List[View]], error) {
		sl, err := slice(*in).slice(kind)
		if err != nil {
			return nil, s.problem("list "+id, err)
		}
		rows, err := read(ctx, *in, sl)
		if err != nil {
			return nil, s.problem("list "+id, err)
		}
		rows, next := page(rows, sl.Limit-1, kind, at)
		views := make([]View, len(rows))
		for i, r := range rows {
			views[i] = view(r)
		}
		return &body[List[View]]{List[View]{views, next}}, nil
	})
}

func asIs[T any](v T) T { return v }

func (s *Server) listOperations(api huma.API) {
	listed(s, api, "contacts", "Обращения, новые сначала / Contacts, newest first", cursorContacts,
		func(in contactsInput) PageInput { return in.PageInput },
		func(ctx context.Context, in contactsInput, sl Slice) ([]dispatch.Contact, error) {
			return s.store.Contacts(ctx, ContactFilter{sl, in.Status})
		},
		func(c dispatch.Contact) Position { return Position{At: c.ReceivedAt, ID: [16]byte(c.ID)} }, contactView)
	listed(s, api, "notifications", "Извещения, новые сначала / Notifications, newest first", cursorNotifications,
		func(in notificationsInput) PageInput { return in.PageInput },
		func(ctx context.Context, in notificationsInput, sl Slice) ([]Notification, error) {
			account := strings.ToUpper(in.Account) // as panels are registered
			return s.store.Notifications(ctx, NotificationFilter{sl, account, in.Facility})
		},
		func(n Notification) Position { return Position{At: n.ReceivedAt, ID: [16]byte(n.ID)} }, asIs[Notification])
	listed(s, api, "facilities", "Объекты, новые сначала / Facilities, newest first", cursorFacilities,
		func(in facilitiesInput) PageInput { return in.PageInput },
		func(ctx context.Context, _ facilitiesInput, sl Slice) ([]Facility, error) {
			return s.store.Facilities(ctx, sl)
		},
		func(f Facility) Position { return Position{At: f.CreatedAt, ID: f.UUID} }, asIs[Facility])
	listed(s, api, "panels", "Приборы, новые сначала / Panels, newest first", cursorPanels,
		func(in panelsInput) PageInput { return in.PageInput },
		func(ctx context.Context, in panelsInput, sl Slice) ([]Panel, error) {
			account := strings.ToUpper(in.Account)
			return s.store.Panels(ctx, PanelFilter{sl, account, in.Facility})
		},
		func(p Panel) Position { return Position{At: p.CreatedAt, ID: [16]byte(p.ID)} }, asIs[Panel])
}
