package day

import (
	"context"
	"fmt"
	"sync"
	"time"

	"nabat/simulators/caller"
	"nabat/simulators/city"
	"nabat/simulators/sipwire"
	"nabat/simulators/sms"
)

const (
	mostCalls = 200
	mostTexts = 50
	// Every so many-th caller gives up before the answer.
	givesUp = 25
)

// ring lets people call.
func (c *City) ring(ctx context.Context, e *sipwire.Endpoint) error {
	rng, teller := c.rng(5), city.NewTeller(c.o.Seed+5)
	line := caller.New(e, c.o.SIP, sipwire.Timers{})
	run := fmt.Sprintf("%x", time.Now().UnixNano())
	slots := make(chan struct{}, mostCalls)
	var under sync.WaitGroup
	defer under.Wait()
	stream(ctx, rng, callsPerDay, c.o.Speed, firstCall, func(n int) {
		p := caller.Plan{
			From: teller.Caller(), AnswerWithin: 2 * time.Minute,
			Hold: c.scaled(between(rng, 20*time.Second, 75*time.Second), 4*time.Second),
		}
		if n%givesUp == givesUp-1 {
			p.Cancel = time.Millisecond
		}
		select {
		case slots <- struct{}{}:
		default:
			c.calls.Note("left out", 1)
			return
		}
		under.Go(func() {
			defer func() { <-slots }()
			c.calls.Sent()
			r := line.Ring(ctx, fmt.Sprintf("%s-%d@day", run, n), fmt.Sprintf("d%s%d", run, n), p)
			c.calls.Note("RTP heard", r.Heard.Packets)
			switch {
			case r.Good():
				c.calls.Acknowledged(max(r.Answered, r.Ringing))
			case ctx.Err() != nil:
				c.calls.Withdrawn()
			case r.Status >= 300:
				c.calls.Refused(r.Err)
			default:
				c.calls.Lost(r.Err)
			}
		})
	})
	return nil
}

// text lets people write.
func (c *City) text(ctx context.Context, e *sipwire.Endpoint) error {
	rng, teller := c.rng(6), city.NewTeller(c.o.Seed+6)
	run := fmt.Sprintf("%x", time.Now().UnixNano())
	slots := make(chan struct{}, mostTexts)
	var under sync.WaitGroup
	defer under.Wait()
	stream(ctx, rng, smsPerDay, c.o.Speed, firstText, func(n int) {
		words, _ := teller.SMS()
		from := teller.Caller()
		select {
		case slots <- struct{}{}:
		default:
			c.texts.Note("left out", 1)
			return
		}
		under.Go(func() {
			defer func() { <-slots }()
			c.texts.Sent()
			r := sms.Send(ctx, e, c.o.SIP, fmt.Sprintf("%s-%d@daysms", run, n), fmt.Sprintf("m%s%d", run, n),
				sms.Text{From: from, Text: words}, 3, sipwire.Timers{})
			switch {
			case r.Status == 200:
				c.texts.Acknowledged(r.Took)
			case ctx.Err() != nil:
				c.texts.Withdrawn()
			case r.Status != 0:
				c.texts.Refused(r.Err)
			default:
				c.texts.Lost(r.Err)
			}
		})
	})
	return nil
}
