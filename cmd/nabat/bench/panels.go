package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"nabat/alarms/dc09"
)

// said is an event of Contact ID without its place.
type said struct {
	event string // qualifier and code
	alarm bool
}

// mix is a thousand events in the proportions of a real city's year: 97 % are
// tests, restores, arming and troubles. Alarms take their class by turns, see
// sender.next.
var mix = func() []said {
	var m []said
	add := func(n int, events ...string) {
		for i := range n {
			m = append(m, said{event: events[i%len(events)]})
		}
	}
	add(480, "1602", "1601")
	add(200, "1301", "3301", "1302", "3302")
	add(200, "1401", "3401")
	add(67, "1373", "3373")
	add(23, "3110", "3111", "3120", "3130")
	for range 30 {
		m = append(m, said{alarm: true})
	}
	rand.New(rand.NewPCG(112, 1)).Shuffle(len(m), func(i, j int) { m[i], m[j] = m[j], m[i] }) // repeatable, not secret
	return m
}()

// alarmEvents are panic, intrusion, gas, medical, and fire for those accounts
// that part «wire → Kafka» has left alone.
var alarmEvents = []string{"1120", "1130", "1151", "1100", "1110"}

// site is an account, and whether it may report fire here.
type site struct {
	account string
	fire    bool
}

// sender is one connection with one frame in flight. It speaks for a few
// accounts in turn, and never says the same twice: zone and area walk through
// all their values.
type sender struct {
	sites  []site
	conn   net.Conn
	phase  int // where in the mix it begins
	n      int // frames made so far
	alarms int // of them

	body, frame, want, in []byte

	took  []time.Duration // of the slice
	inEnd int             // answers that came before the slice's end
	acked []uint64        // hashes of all frames acknowledged
	alarm int             // alarms acknowledged
	tries int             // frames sent again, UDP only
	err   error
}

// fleet is many senders.
type fleet struct {
	network string
	senders []*sender
	seed    maphash.Seed
}

// origin is where the senders of a fleet begin to count, so that two fleets say
// different things and alarm at different sites.
type origin struct{ frame, alarm int }

// openFleet connects n senders and deals the accounts out to them.
func openFleet(ctx context.Context, network, addr string, n int, from origin, accounts []string) (*fleet, error) {
	f := &fleet{network: network, seed: maphash.MakeSeed()}
	var d net.Dialer
	for i := range n {
		conn, err := d.DialContext(ctx, network, addr)
		if err != nil {
			f.close()
			return nil, fmt.Errorf("connection %d: %w", i+1, err)
		}
		s := &sender{conn: conn, phase: i * 37, n: from.frame, alarms: from.alarm, in: make([]byte, 0, 512)}
		for j := i; j < len(accounts); j += n {
			s.sites = append(s.sites, site{accounts[j], !forKafka(j)})
		}
		f.senders = append(f.senders, s)
	}
	return f, nil
}

func (f *fleet) close() {
	for _, s := range f.senders {
		s.conn.Close()
	}
}

// next writes the sender's next frame and the only answer that is right.
func (s *sender) next() (alarm bool) {
	what := mix[(s.n*7+s.phase)%len(mix)]
	at := s.sites[s.n%len(s.sites)]
	event := what.event
	if what.alarm {
		// Each account and class in turn, so that as many alarms as can be open a
		// card instead of joining one.
		at = s.sites[s.alarms%len(s.sites)]
		class := s.alarms / len(s.sites) % len(alarmEvents)
		if event = alarmEvents[class]; class == len(alarmEvents)-1 && !at.fire {
			event = alarmEvents[0]
		}
		s.alarms++
	}
	s.write(at.account, event, s.n)
	s.n++
	return what.alarm
}

func (s *sender) write(account, event string, n int) {
	seq := n%9999 + 1
	zone, area := n%999+1, n/999%99+1
	s.body = append(s.body[:0], `"ADM-CID"`...)
	s.body = digits(s.body, seq, 4)
	s.body = append(s.body, "L0#"...)
	s.body = append(s.body, account...)
	s.body = append(s.body, "[#"...)
	s.body = append(s.body, account...)
	s.body = append(s.body, '|')
	s.body = append(s.body, event...)
	s.body = append(s.body, ' ')
	s.body = digits(s.body, area, 2)
	s.body = append(s.body, ' ')
	s.body = digits(s.body, zone, 3)
	s.body = append(s.body, ']')
	s.frame = dc09.AppendFrame(s.frame[:0], s.body, dc09.CRCHex)

	s.body = append(s.body[:0], `"ACK"`...)
	s.body = digits(s.body, seq, 4)
	s.body = append(s.body, "L0#"...)
	s.body = append(s.body, account...)
	s.body = append(s.body, "[]"...)
	s.want = dc09.AppendFrame(s.want[:0], s.body, dc09.CRCHex)
}

func digits(dst []byte, n, width int) []byte {
	for range width {
		dst = append(dst, '0')
	}
	for i := len(dst) - 1; n > 0; i, n = i-1, n/10 {
		dst[i] = byte('0' + n%10)
	}
	return dst
}

// Patience: over UDP that of a panel, which sends again; over TCP longer than the
// engine's own bounds, so that a stall shows as a late answer.
const (
	datagramWithin = 5 * time.Second
	datagrams      = 6
	streamWithin   = 40 * time.Second
)

// exchange sends the frame until its answer has come.
func (s *sender) exchange(udp bool) error {
	tries, patience := 1, streamWithin
	if udp {
		tries, patience = datagrams, datagramWithin
	}
	for try := range tries {
		if try > 0 {
			s.tries++
		}
		if err := s.conn.SetDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		if _, err := s.conn.Write(s.frame); err != nil {
			return err
		}
		err := s.answer(udp)
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
	return os.ErrDeadlineExceeded
}

func (s *sender) answer(udp bool) error {
	for s.in = s.in[:0]; ; {
		n, err := s.conn.Read(s.in[len(s.in):cap(s.in)])
		s.in = s.in[:len(s.in)+n]
		switch {
		case err != nil:
			return err
		case bytes.Equal(s.in, s.want):
			return nil
		case udp: // an answer to an earlier datagram that was sent twice
			s.in = s.in[:0]
		case len(s.in) >= len(s.want):
			return fmt.Errorf("answered %q instead of %q", s.in, s.want)
		}
	}
}

// slice is one measurement of a fleet.
type slice struct {
	began, ended time.Time
	perSecond    float64
	acked        int
	alarms       int
	again        int // frames sent more than once
	took         []time.Duration
}

// run lets all senders send for d, each as fast as it is answered, or at a pace
// in all together. Then every frame in flight gets its answer. At a pace, the
// time of an answer counts from the moment at which its frame was due.
func (f *fleet) run(ctx context.Context, d time.Duration, pace float64) (slice, error) {
	for _, s := range f.senders {
		s.took, s.inEnd, s.tries, s.alarm = s.took[:0], 0, 0, 0
	}
	before := 0
	for _, s := range f.senders {
		before += len(s.acked)
	}
	var stop atomic.Bool
	defer context.AfterFunc(ctx, func() { stop.Store(true) })()
	sl := slice{began: time.Now()}
	end := sl.began.Add(d)
	var all sync.WaitGroup
	for i, s := range f.senders {
		all.Go(func() {
			gap, due := time.Duration(0), time.Time{}
			if pace > 0 {
				gap = time.Duration(float64(len(f.senders)) / pace * float64(time.Second))
				due = sl.began.Add(gap * time.Duration(i) / time.Duration(len(f.senders)))
			}
			for s.err == nil && !stop.Load() {
				if gap > 0 {
					time.Sleep(time.Until(due))
				}
				now := time.Now()
				if !now.Before(end) {
					return
				}
				if gap > 0 {
					now, due = due, due.Add(gap)
				}
				s.one(f, now, end)
			}
		})
	}
	all.Wait()
	sl.ended = time.Now()
	inEnd := 0
	for _, s := range f.senders {
		if s.err != nil {
			return sl, fmt.Errorf("not acknowledged: %q: %w", s.frame, s.err)
		}
		inEnd += s.inEnd
		sl.acked += len(s.acked)
		sl.alarms += s.alarm
		sl.again += s.tries
		sl.took = append(sl.took, s.took...)
	}
	sl.acked -= before
	sl.perSecond = float64(inEnd) / d.Seconds()
	return sl, ctx.Err()
}

// one frame and its answer.
func (s *sender) one(f *fleet, from, end time.Time) {
	alarm := s.next()
	if s.err = s.exchange(f.network == "udp"); s.err != nil {
		return
	}
	now := time.Now()
	s.took = append(s.took, now.Sub(from))
	if now.Before(end) {
		s.inEnd++
	}
	if alarm {
		s.alarm++
	}
	s.acked = append(s.acked, maphash.Bytes(f.seed, s.frame))
}
