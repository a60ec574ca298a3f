package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	"nabat/alarms"
	alarmsdb "nabat/alarms/postgres"
	"nabat/dispatch"
	"nabat/dispatch/postgres"
	"nabat/simulators/city"
)

// past writes a made-up day through the same pure functions and the same writer
// as the present.
type past struct {
	store  *postgres.Store
	writer *postgres.Writer
	alarms *alarmsdb.Store
	route  dispatch.Router
	panels map[string]alarms.Panel // by account, as the registry has them
	run    dispatch.RunID

	incidents map[int]dispatch.IncidentID // by story
	contacts  map[int]dispatch.ContactID  // by story
	later     map[int][]city.Fact         // by story
	stories   []int
}

// tell writes the facts: what opens a card in the order of time, so that card
// numbers follow it, then each story to its end side by side.
func (p *past) tell(ctx context.Context, facts []city.Fact) error {
	p.incidents, p.contacts = map[int]dispatch.IncidentID{}, map[int]dispatch.ContactID{}
	p.later = map[int][]city.Fact{}
	var rows []alarms.Notification
	for _, f := range facts {
		if f.Story == 0 {
			rows = append(rows, p.notification(f))
			continue
		}
		if _, open := p.incidents[f.Story]; open {
			p.later[f.Story] = append(p.later[f.Story], f)
			continue
		}
		if err := p.open(ctx, f); err != nil {
			return fmt.Errorf("story %d: %w", f.Story, err)
		}
		p.stories = append(p.stories, f.Story)
	}
	if err := p.alarms.Save(ctx, alarms.Change{Key: "history", Rows: rows}); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(64)
	for _, story := range p.stories {
		g.Go(func() error {
			for _, f := range p.later[story] {
				if err := p.goOn(ctx, story, f); err != nil {
					return fmt.Errorf("story %d, %s: %w", story, f.What, err)
				}
			}
			return nil
		})
	}
	return g.Wait()
}

func (p *past) open(ctx context.Context, f city.Fact) error {
	switch f.What {
	case city.Called, city.Texted:
		c := dispatch.Contact{
			ID: dispatch.NewContactID(), Kind: dispatch.ContactCall, Key: "history:" + f.Contact.Key, Run: p.run,
			Caller: f.Contact.Caller, Called: f.Contact.Called, Text: f.Contact.Text,
			State: dispatch.ContactRinging, ReceivedAt: f.At,
		}
		if f.What == city.Texted {
			c.Kind, c.State, c.EndedAt, c.EndReason = dispatch.ContactSMS, dispatch.ContactEnded, f.At, dispatch.EndDelivered
		}
		stored, _, err := p.store.OpenContact(ctx, c)
		p.incidents[f.Story], p.contacts[f.Story] = stored.Incident, stored.ID
		return err
	case city.Notified:
		id := dispatch.NewIncidentID()
		p.incidents[f.Story] = id
		n := p.notification(f)
		n.Incident = id
		kind, ok := alarms.Opens(n.Class, n.Condition)
		if !ok {
			return fmt.Errorf("%s/%s opens no card", n.Class, n.Condition)
		}
		panel := p.panels[n.Account]
		fac := panel.Facility
		title, _ := n.Class.Title()
		sig := dispatch.Signal{
			Notification: n.ID, Account: n.Account, Class: string(n.Class), Condition: string(n.Condition), Zone: n.Zone, At: f.At,
		}
		site := dispatch.Site{
			Facility: fac.ID, Code: fac.Code, Name: fac.Name, Category: fac.Category,
			Place: fac.Address, District: fac.District, Lat: fac.Lat, Lon: fac.Lon,
		}
		return p.alarms.Save(ctx, alarms.Change{
			Key: fac.Code, Rows: []alarms.Notification{n}, Incident: id, New: true,
			Decide: dispatch.OpenFromAlarm(sig, kind, title+": "+fac.Name, site, p.route),
		})
	default:
		return fmt.Errorf("a story begins with %q", f.What)
	}
}

func (p *past) notification(f city.Fact) alarms.Notification {
	n := f.Notice
	panel := p.panels[n.Account]
	return alarms.Notification{
		ID: dispatch.NewNotificationID(), ReceivedAt: f.At.UTC().Truncate(time.Microsecond),
		Account: n.Account, Panel: panel.ID, Facility: panel.Facility.ID, Protocol: alarms.ProtocolContactID,
		Class: alarms.Class(n.Class), Condition: alarms.Condition(n.Condition), Code: n.Code, Area: n.Area, Zone: n.Zone,
		Raw: n.Frame(), Peer: "127.0.0.1:0", Seq: fmt.Sprintf("%04d", n.Seq),
		DedupKey: fmt.Sprintf("history:%s:%d", n.Account, f.At.UnixMicro()), Why: "придуманное прошлое демо-города",
	}
}

func (p *past) goOn(ctx context.Context, story int, f city.Fact) error {
	id := p.incidents[story]
	by := dispatch.Actor("operator:" + f.By)
	progress := func(s dispatch.ContactState, r dispatch.EndReason) error {
		return p.store.Progress(ctx, dispatch.Progress{ID: p.contacts[story], Incident: id, State: s, At: f.At, Reason: r}, dispatch.System)
	}
	change := func(d dispatch.Decide) error {
		_, err := p.store.Change(ctx, id, d, nil)
		if errors.Is(err, dispatch.ErrUnchanged) || errors.Is(err, dispatch.ErrNotFound) {
			return nil // the rules chose other services than the story expects
		}
		return err
	}
	switch f.What {
	case city.Answered:
		return progress(dispatch.ContactAnswered, "")
	case city.HungUp:
		return progress(dispatch.ContactEnded, dispatch.EndReason(f.Reason))
	case city.Sent:
		return change(dispatch.SendForm(dispatch.Form{
			Type: new(dispatch.Type(f.Form.Type)), Place: new(f.Form.Place), Description: new(f.Form.Description),
		}, p.route, by, f.At))
	case city.Dismissed:
		return change(dispatch.CloseWithoutResponse(dispatch.NonResponse(f.Reason), by, f.At))
	case city.Replied:
		s := dispatch.Service(f.Reply.Service)
		if err := change(dispatch.MarkPublished(s, f.At)); err != nil {
			return err
		}
		return change(dispatch.TakeReply(dispatch.Reply{
			Service: s, To: dispatch.AssignmentState(f.Reply.Status), OrderNumber: f.Reply.OrderNumber,
			Comment: f.Reply.Comment, By: dispatch.Actor("service:" + f.Reply.Service), At: f.At,
		}))
	case city.Closed:
		return p.finish(ctx, id, f)
	case city.Notified:
		n := p.notification(f)
		n.Incident = id
		return p.alarms.Save(ctx, alarms.Change{Key: n.Account, Rows: []alarms.Notification{n}})
	default:
		return fmt.Errorf("unknown fact %q", f.What)
	}
}

// finish ends what the story left open, because the rules may have chosen a
// service that the story does not know, and closes the card.
func (p *past) finish(ctx context.Context, id dispatch.IncidentID, f city.Fact) error {
	card, err := p.store.Card(ctx, id)
	if err != nil {
		return err
	}
	for _, a := range card.Assignments {
		for _, to := range []dispatch.AssignmentState{dispatch.Accepted, dispatch.Completed} {
			if a.State.Final() {
				break
			}
			_, err := p.store.Change(ctx, id, dispatch.TakeReply(dispatch.Reply{
				Service: a.Service, To: to, By: dispatch.Actor("service:" + string(a.Service)), At: f.At,
			}), nil)
			if err != nil && !errors.Is(err, dispatch.ErrUnchanged) {
				return err
			}
		}
	}
	_, err = p.store.Change(ctx, id, dispatch.Close(f.Reason, dispatch.Actor("operator:"+f.By), f.At), nil)
	return err
}
