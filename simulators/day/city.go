package day

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"nabat/simulators/city"
	"nabat/simulators/duty"
	"nabat/simulators/operator"
	"nabat/simulators/panel"
	"nabat/simulators/sipwire"
	"nabat/simulators/tally"
)

// Staff is one person at a console.
type Staff struct {
	Login, Password string
	Role            operator.Role
}

// Options say where the city lives. An address that is empty leaves its part out.
type Options struct {
	Alarms string // DC-09 receiver, TCP
	// AlarmsUDP is where link tests go; empty: the same address, over UDP.
	AlarmsUDP string
	SIP       string   // UDP
	Console   string   // http://…; needs Staff
	Brokers   []string // Kafka; needs Services

	Facilities []city.Facility // nil: the demo city
	Staff      []Staff
	Services   []string // duty services that are played

	Speed float64 // 0: the real pace
	Seed  uint64  // what happens, and when, is a function of it
	Log   *zap.Logger
	// FirstAlarm, if set, hears of the first fire alarm when it is acknowledged.
	FirstAlarm func(account, facility string)
}

// City is the living city.
type City struct {
	o   Options
	log *zap.Logger

	beats, events, calls, texts *tally.Tally
	staff                       []*operator.Person
	services                    []*duty.Service
	devices                     []*device
}

// New checks the options; nothing is opened yet.
func New(o Options) (*City, error) {
	if o.Facilities == nil {
		o.Facilities = city.Demo()
	}
	if o.Speed <= 0 {
		o.Speed = 1
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	c := &City{
		o: o, log: o.Log.Named("simulators.day"),
		beats: tally.New("heartbeats"), events: tally.New("notifications"), calls: tally.New("calls"), texts: tally.New("sms"),
	}
	takers := 0
	for _, s := range o.Staff {
		if s.Role == operator.CallTaker {
			takers++
		}
	}
	seat := 0
	for i, s := range o.Staff {
		p := operator.Options{
			URL: o.Console, Login: s.Login, Password: s.Password, Role: s.Role, Seats: 1,
			Speed: o.Speed, Seed: o.Seed + uint64(i), Log: o.Log,
		}
		if s.Role == operator.CallTaker {
			p.Seat, p.Seats = seat, takers
			seat++
		}
		person, err := operator.New(p)
		if err != nil {
			return nil, err
		}
		c.staff = append(c.staff, person)
	}
	if len(o.Brokers) > 0 {
		for _, name := range o.Services {
			s, err := duty.New(duty.Options{
				Service: name, Brokers: o.Brokers, Log: o.Log,
				Habits: duty.Habits{Speed: o.Speed, Refuse: 0.02, GiveUp: 0.03, Seed: o.Seed},
			})
			if err != nil {
				return nil, err
			}
			c.services = append(c.services, s)
		}
	}
	return c, nil
}

// Run lets the city live until ctx ends.
func (c *City) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// The transports outlive ctx by the time that farewells take.
	wires, unplug := context.WithCancel(context.WithoutCancel(ctx))
	var transports sync.WaitGroup
	defer transports.Wait()
	defer unplug()
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel() // an error below ends the rest

	fail := make(chan error, 2+len(c.staff)+len(c.services))
	start := func(name string, run func(context.Context) error) {
		work.Go(func() {
			if err := run(ctx); err != nil {
				fail <- fmt.Errorf("%s: %w", name, err)
			}
		})
	}
	for _, s := range c.services {
		start("duty service", s.Run)
	}
	for _, p := range c.staff {
		start("console", p.Run)
	}
	if c.o.Alarms != "" {
		sockets, err := panel.NewSockets(cmp.Or(c.o.AlarmsUDP, c.o.Alarms), 16)
		if err != nil {
			return err
		}
		transports.Go(func() { _ = sockets.Run(wires) })
		c.install(sockets)
		start("heartbeats", c.heartbeats)
		start("alarms", c.alarms)
		start("noise", c.noise)
	}
	if c.o.SIP != "" {
		e, err := sipwire.Dial(ctx, "udp", c.o.SIP)
		if err != nil {
			return err
		}
		transports.Go(func() { _ = e.Run(wires) })
		start("calls", func(ctx context.Context) error { return c.ring(ctx, e) })
		start("sms", func(ctx context.Context) error { return c.text(ctx, e) })
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-fail:
			if errors.Is(err, context.Canceled) {
				continue
			}
			// A part that cannot go on (a changed password) leaves the others alone.
			c.log.Warn("a part of the city has stopped", zap.Error(err))
		}
	}
}

// Reports are the counts of every part.
func (c *City) Reports() []tally.Report {
	out := []tally.Report{c.beats.Report(), c.events.Report(), c.calls.Report(), c.texts.Report()}
	for _, p := range c.staff {
		out = append(out, p.Report())
	}
	for _, s := range c.services {
		out = append(out, s.Reports()...)
	}
	return slices.DeleteFunc(out, func(r tally.Report) bool { return r.Sent == 0 && len(r.Notes) == 0 })
}

// rng is the chance of one part of the city.
func (c *City) rng(part uint64) *rand.Rand { return rand.New(rand.NewPCG(c.o.Seed, part)) }

// scaled is a pause at the city's speed, never shorter than least.
func (c *City) scaled(d, least time.Duration) time.Duration {
	return max(time.Duration(float64(d)/c.o.Speed), least)
}
