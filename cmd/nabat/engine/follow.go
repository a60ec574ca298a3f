package engine

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"
	"nabat/dispatch"
	"nabat/routing"
)

// poll is how often readers look by themselves, because a wake is only a hint.
const poll = 500 * time.Millisecond

func (e *Engine) services() []dispatch.Service { return routing.DefaultVocabulary().Services }

// hangUpClosed ends the live calls of cards that a person closed or cancelled:
// nobody is going to talk to that caller any more.
func (e *Engine) hangUpClosed(ctx context.Context) error {
	at, known := int64(0), false
	for ctx.Err() == nil {
		woken := e.wake.C()
		var err error
		if !known {
			at, err = e.store.LastSeq(ctx)
			known = err == nil
		}
		if known {
			at, err = e.hangUpAfter(ctx, at)
		}
		if err != nil && ctx.Err() == nil {
			e.log.Warn("cannot follow the journal for ended cards, trying again", zap.Error(err))
		}
		select {
		case <-ctx.Done():
		case <-woken:
		case <-time.After(poll):
		}
	}
	return nil
}

func (e *Engine) hangUpAfter(ctx context.Context, at int64) (int64, error) {
	for {
		const chunk = 500
		events, err := e.store.Events(ctx, at, chunk)
		if err != nil {
			return at, err
		}
		var ended []dispatch.IncidentID
		by := map[dispatch.IncidentID]dispatch.Actor{}
		for _, ev := range events {
			if ev.Kind == dispatch.EventClosed || ev.Kind == dispatch.EventCancelled {
				ended = append(ended, ev.Incident)
				by[ev.Incident] = ev.Actor
			}
		}
		if len(ended) > 0 {
			contacts, err := e.store.IncidentContacts(ctx, ended)
			if err != nil {
				return at, err
			}
			for _, c := range contacts {
				if c.State == dispatch.ContactEnded {
					continue
				}
				err := e.line.HangUp(ctx, c.ID, by[c.Incident], "its card was closed")
				if err != nil && !errors.Is(err, dispatch.ErrNotFound) {
					e.log.Warn("cannot end the call of a closed card", zap.Stringer("contact", c.ID), zap.Error(err))
				}
			}
		}
		if len(events) > 0 {
			at = events[len(events)-1].Seq
		}
		if len(events) < chunk {
			return at, nil
		}
	}
}

// followRules puts a newly published ruleset in force within a second or two.
func (e *Engine) followRules(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	refused := 0
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		p, err := e.ruleStore.Active(ctx)
		if err != nil || p.Number <= e.rules.Ruleset().Number || p.Number == refused {
			continue // away: the readiness check tells; the rules in force stay
		}
		set, err := Compiled(p)
		if err != nil {
			refused = p.Number
			e.log.Error("a published ruleset cannot be used, the old one stays in force", zap.Int("number", p.Number), zap.Error(err))
			continue
		}
		e.rules.Replace(set)
		e.log.Info("ruleset in force", zap.Int("number", set.Number))
	}
}

// followRegistry takes an import over within a second or two.
func (e *Engine) followRegistry(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	last := e.registryMark
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		mark, err := e.alarmStore.Mark(ctx)
		if err != nil || mark == last {
			continue // away: the readiness check tells; the registry in memory stays
		}
		panels, err := e.alarmStore.Panels(ctx)
		if err != nil {
			e.log.Warn("the registry changed and cannot be read, trying again", zap.Error(err))
			continue
		}
		e.registry.Replace(panels)
		last = mark
		e.log.Info("registry taken over", zap.Int("panels", len(panels)))
	}
}
