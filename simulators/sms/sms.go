// Package sms plays an SMS gateway: it hands text messages over as SIP MESSAGE
// with text/plain (RFC 3428).
//
// A message counts as delivered only on 200: the engine says 200 after it has
// stored the message, and a gateway keeps what was not taken. An unanswered
// message is repeated by the SIP timers, and after they run out sent again as a
// new transaction with the same Call-ID, From tag and CSeq, as a gateway with a
// queue does; the receiver must take it once.
package sms

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"nabat/simulators/sipwire"
	"nabat/simulators/tally"
)

// Text is one message.
type Text struct{ From, To, Text string }

// Result is what became of it.
type Result struct {
	Call   string        `json:"call"` // Call-ID
	From   string        `json:"from"`
	Text   string        `json:"text"`
	SentAt time.Time     `json:"sentAt"`
	Took   time.Duration `json:"tookNs"`
	Status int           `json:"status"`
	Tries  int           `json:"tries"`
	Err    string        `json:"error,omitempty"`
}

// Options say what a load of messages does.
type Options struct {
	Network string // udp or tcp
	Peer    string
	Count   int
	// Duration bounds the time in which messages begin; 0: only Count.
	Duration time.Duration
	Rate     float64 // messages a second; 0: as fast as Most allows
	Most     int     // in flight at once; 0: 50
	Tries    int     // transactions for each message; 0: 3
	Seed     uint64
	// Next makes the n-th message.
	Next   func(n int) Text
	Timers sipwire.Timers
	Done   func(Result)
}

// Load sends messages.
type Load struct {
	o     Options
	tally *tally.Tally
}

// NewLoad checks the options; nothing is opened yet.
func NewLoad(o Options, t *tally.Tally) (*Load, error) {
	if o.Count <= 0 && o.Duration <= 0 {
		return nil, errors.New("a load needs a bound: a count or a duration")
	}
	if o.Next == nil {
		return nil, errors.New("no texts")
	}
	if o.Most <= 0 {
		o.Most = 50
	}
	if o.Tries <= 0 {
		o.Tries = 3
	}
	return &Load{o: o, tally: t}, nil
}

// Run sends the messages and returns when each has its outcome or ctx has ended.
func (l *Load) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	e, err := sipwire.Dial(ctx, l.o.Network, l.o.Peer)
	if err != nil {
		cancel()
		return err
	}
	var reader sync.WaitGroup
	reader.Go(func() { _ = e.Run(ctx) })
	defer reader.Wait()
	defer cancel()

	run := fmt.Sprintf("%x%04x", time.Now().UnixNano(), rand.Uint32()&0xFFFF)
	slots := make(chan struct{}, l.o.Most)
	var sends sync.WaitGroup
	defer sends.Wait()
	start := time.Now()
	for n := 0; l.o.Count <= 0 || n < l.o.Count; n++ {
		if l.o.Rate > 0 {
			at := time.NewTimer(time.Until(start.Add(time.Duration(float64(n) / l.o.Rate * float64(time.Second)))))
			select {
			case <-at.C:
			case <-ctx.Done():
				at.Stop()
				return nil
			}
		}
		if l.o.Duration > 0 && time.Since(start) >= l.o.Duration {
			return nil
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		text := l.o.Next(n)
		sends.Go(func() {
			defer func() { <-slots }()
			l.one(ctx, e, fmt.Sprintf("%s-%d@sms", run, n), fmt.Sprintf("s%s%d", run, n), text)
		})
	}
	return nil
}

func (l *Load) one(ctx context.Context, e *sipwire.Endpoint, id, tag string, text Text) {
	l.tally.Sent()
	r := Send(ctx, e, l.o.Peer, id, tag, text, l.o.Tries, l.o.Timers)
	for range r.Tries - 1 {
		l.tally.Retried()
	}
	switch {
	case r.Status == 200:
		l.tally.Acknowledged(r.Took)
	case ctx.Err() != nil:
		l.tally.Withdrawn()
	case r.Status != 0:
		l.tally.Refused(r.Err)
	default:
		l.tally.Lost(r.Err)
	}
	if l.o.Done != nil {
		l.o.Done(r)
	}
}

// Send delivers one message through a transport whose Run somebody else runs.
// host is what stands behind the @ of the number.
func Send(ctx context.Context, e *sipwire.Endpoint, host, id, tag string, t Text, tries int, timers sipwire.Timers) Result {
	if t.To == "" {
		t.To = "112"
	}
	r := Result{Call: id, From: t.From, Text: t.Text, SentAt: time.Now()}
	fail := func(err error) Result { r.Err = err.Error(); return r }
	for r.Tries = 1; ; r.Tries++ {
		// Opened anew each time: the same Call-ID, tag and CSeq, another branch.
		call, err := e.Open(id, tag, fmt.Sprintf("<sip:%s@%s>", t.From, e.Local()),
			fmt.Sprintf("<sip:%s@%s>", t.To, host), "sip:"+t.To+"@"+host, timers)
		if err != nil {
			return fail(err)
		}
		m := call.Request("MESSAGE")
		m.Renew(r.Tries)
		m.Add("P-Asserted-Identity", fmt.Sprintf("<tel:%s>", t.From))
		m.Add("Content-Type", "text/plain;charset=UTF-8")
		m.Body = []byte(t.Text)
		answer, err := call.Do(ctx, m, nil)
		call.Close()
		switch {
		case ctx.Err() != nil:
			return fail(ctx.Err())
		case err != nil && r.Tries >= tries:
			return fail(err)
		case err != nil:
			continue
		}
		r.Status, r.Took = answer.Status, time.Since(r.SentAt)
		// 503 and 480 mean «not now»: a gateway keeps the message and comes back.
		if (r.Status == 503 || r.Status == 480) && r.Tries < tries {
			continue
		}
		if r.Status != 200 {
			return fail(fmt.Errorf("not taken: %d %s", answer.Status, answer.Reason))
		}
		return r
	}
}
