package day

import (
	"container/heap"
	"context"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"go.uber.org/zap"

	"nabat/simulators/city"
	"nabat/simulators/panel"
)

// device is a facility's panel: link tests over UDP, events over TCP, one frame
// in flight at a time.
type device struct {
	facility city.Facility
	panel    city.Panel

	mu     sync.Mutex
	beats  *panel.Panel
	events *panel.Panel
}

const (
	beatWorkers = 64
	mostEvents  = 100
)

var patience = panel.Patience{Wait: 4 * time.Second, Tries: 5}

// install gives every facility its devices.
func (c *City) install(sockets *panel.Sockets) {
	c.devices = nil
	for _, f := range c.o.Facilities {
		for _, p := range f.Panels {
			c.devices = append(c.devices, &device{
				facility: f, panel: p,
				beats: panel.New(p.Account, p.Protocol, sockets.Link(len(c.devices)), panel.Patience{Wait: 3 * time.Second, Tries: 4}, c.beats),
				// A connection for each event: thousands of idle ones would cost
				// descriptors and show nothing.
				events: panel.New(p.Account, p.Protocol, panel.NewTCP(c.o.Alarms, true), patience, c.events),
			})
		}
	}
}

// heartbeats sends every panel's link tests.
func (c *City) heartbeats(ctx context.Context) error {
	rng := c.rng(1)
	var due beats
	start := time.Now()
	for _, d := range c.devices {
		if d.panel.HeartbeatS > 0 {
			period := time.Duration(d.panel.HeartbeatS) * time.Second
			due = append(due, beat{start.Add(time.Duration(rng.Int64N(int64(period)))), period, d})
		}
	}
	heap.Init(&due)
	work := make(chan *device)
	var workers sync.WaitGroup
	defer workers.Wait()
	defer close(work)
	for range beatWorkers {
		workers.Go(func() {
			for d := range work {
				// A panel that is sending an event is heard by that.
				if d.mu.TryLock() {
					d.beats.Send(ctx, panel.Plain(panel.Heartbeat))
					d.mu.Unlock()
				}
			}
		})
	}
	for len(due) > 0 {
		if !sleep(ctx, time.Until(due[0].at)) {
			return nil
		}
		select {
		case work <- due[0].device:
		case <-ctx.Done():
			return nil
		}
		// From the plan, not from now: the phases stay spread. After a long
		// stall the beats that were missed are left out.
		due[0].at = due[0].at.Add(due[0].period)
		if now := time.Now(); due[0].at.Before(now) {
			c.beats.Note("late", 1)
			due[0].at = now.Add(due[0].period)
		}
		heap.Fix(&due, 0)
	}
	return nil
}

// send tells one event of a device.
func (d *device) send(ctx context.Context, e panel.Event) panel.Outcome {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.events.Send(ctx, e)
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0
	}
	return n
}

// zoneEvent is what a zone tells when it trips.
func zoneEvent(z city.Zone) panel.Event {
	kinds := map[string]panel.Kind{
		city.ZoneFire: panel.Fire, city.ZonePanic: panel.Panic, city.ZoneIntrusion: panel.Intrusion, city.ZoneGas: panel.Gas,
	}
	return panel.Event{Kind: kinds[z.Kind], Qualifier: panel.Began, Code: z.Code, Area: number(z.Area), Zone: number(z.Number)}
}

// alarms lets zones trip; the first of all is a fire.
func (c *City) alarms(ctx context.Context) error {
	rng := c.rng(2)
	slots := make(chan struct{}, mostEvents)
	var under sync.WaitGroup
	defer under.Wait()
	stream(ctx, rng, alarmsPerDay, c.o.Speed, firstAlarm, func(n int) {
		d, z := c.trip(rng, n == 0)
		if d == nil {
			return
		}
		seed := rng.Uint64()
		select {
		case slots <- struct{}{}:
		default:
			c.events.Note("left out", 1)
			return
		}
		under.Go(func() {
			defer func() { <-slots }()
			c.alarm(ctx, rand.New(rand.NewPCG(seed, 3)), d, z, n == 0)
		})
	})
	return nil
}

// trip picks a device and one of its zones; nil when no device has a fire zone
// and one is wanted.
func (c *City) trip(rng *rand.Rand, fire bool) (*device, city.Zone) {
	for range 1000 {
		d := c.devices[rng.IntN(len(c.devices))]
		if len(d.panel.Zones) == 0 {
			continue
		}
		z := d.panel.Zones[rng.IntN(len(d.panel.Zones))]
		if !fire || z.Kind == city.ZoneFire {
			return d, z
		}
	}
	return nil, city.Zone{}
}

// alarm is one alarm's story: it, perhaps a second detector, the restore.
func (c *City) alarm(ctx context.Context, rng *rand.Rand, d *device, z city.Zone, first bool) {
	o := d.send(ctx, zoneEvent(z))
	if first && o.Answer == "ACK" {
		c.log.Info("the first fire alarm is acknowledged", zap.String("account", d.panel.Account))
		if c.o.FirstAlarm != nil {
			c.o.FirstAlarm(d.panel.Account, d.facility.Name)
		}
	}
	tripped := []city.Zone{z}
	if z.Kind == city.ZoneFire && rng.IntN(3) == 0 {
		if other := d.panel.Zones[rng.IntN(len(d.panel.Zones))]; other.Kind == city.ZoneFire && other.Number != z.Number {
			if !sleep(ctx, c.scaled(between(rng, 5*time.Second, 25*time.Second), time.Second)) {
				return
			}
			d.send(ctx, zoneEvent(other))
			tripped = append(tripped, other)
		}
	}
	if !sleep(ctx, c.scaled(between(rng, 2*time.Minute, 9*time.Minute), 2*time.Second)) {
		return
	}
	for _, t := range tripped {
		e := zoneEvent(t)
		e.Qualifier = panel.Restored
		d.send(ctx, e)
	}
}

// quiet is what panels say beside alarms.
var quiet = panel.Mix{panel.Test: 50, panel.Power: 20, panel.FireTrouble: 8, panel.Arming: 22}

// noise lets panels say what leads to no card.
func (c *City) noise(ctx context.Context) error {
	rng := c.rng(4)
	slots := make(chan struct{}, mostEvents)
	var under sync.WaitGroup
	defer under.Wait()
	stream(ctx, rng, noisePerDay, c.o.Speed, firstNoise, func(n int) {
		d := c.devices[rng.IntN(len(c.devices))]
		e := quiet.Draw(rng, n)
		switch {
		case e.Kind == panel.Arming && !d.facility.Has(city.ZoneIntrusion):
			e = panel.Plain(panel.Test)
		case e.Kind == panel.Arming:
			e.Area, e.Zone = 3, 1+n%9
		case e.Kind != panel.FireTrouble || len(d.panel.Zones) == 0:
			e.Area, e.Zone = 0, 0
		default:
			z := d.panel.Zones[0]
			e.Area, e.Zone = number(z.Area), number(z.Number)
		}
		select {
		case slots <- struct{}{}:
		default:
			c.events.Note("left out", 1)
			return
		}
		under.Go(func() {
			defer func() { <-slots }()
			d.send(ctx, e)
		})
	})
	return nil
}

// beat is a device's next link test.
type beat struct {
	at     time.Time
	period time.Duration
	device *device
}

// beats is a heap of them, the earliest first.
type beats []beat

func (b *beats) Len() int           { return len(*b) }
func (b *beats) Less(i, j int) bool { return (*b)[i].at.Before((*b)[j].at) }
func (b *beats) Swap(i, j int)      { (*b)[i], (*b)[j] = (*b)[j], (*b)[i] }

// Push is heap.Interface's; nothing is ever pushed after Init.
func (b *beats) Push(x any) {
	v, _ := x.(beat)
	*b = append(*b, v)
}

// Pop is heap.Interface's.
func (b *beats) Pop() any {
	old := *b
	last := old[len(old)-1]
	*b = old[:len(old)-1]
	return last
}
