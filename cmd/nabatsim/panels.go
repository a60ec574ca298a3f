package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"nabat/simulators/city"
	"nabat/simulators/panel"
	"nabat/simulators/tally"
)

// demo is the city that the engine's demo has, made once.
var demo = sync.OnceValue(city.Demo)

type alarmCmd struct {
	To       string        `name:"to" aliases:"addr" default:"127.0.0.1:12000" placeholder:"HOST:PORT" help:"${addr_alarms}"`
	UDP      bool          `name:"udp" help:"${udp}"`
	Account  string        `help:"${account}"`
	Class    string        `aliases:"kind" default:"fire" enum:"${kinds}" help:"${class} ${enum}."`
	Code     string        `help:"${code}"`
	Zone     int           `default:"-1" help:"${zone}"`
	Area     int           `default:"-1" help:"${area}"`
	Restore  bool          `help:"${restore}"`
	Protocol string        `default:"auto" enum:"auto,adm-cid,sia-dcs" help:"${protocol} ${enum}."`
	Text     string        `help:"${text}"`
	Wait     time.Duration `default:"5s" help:"${wait}"`
	Tries    int           `default:"6" help:"${tries}"`
}

// Run sends one alarm and says what the receiver answered.
func (c alarmCmd) Run(ctx context.Context, s stage) error {
	if err := s.local(c.To); err != nil {
		return err
	}
	c.Account = strings.ToUpper(c.Account) // as registries write it
	f, z := c.site()
	event, err := c.event(z)
	if err != nil {
		return err
	}
	account, protocol, where := c.Account, c.Protocol, words["said_unknown"].in(s.Lang)
	if f != nil {
		account, where = f.Panels[0].Account, f.Name+", "+f.Address
		if protocol == "auto" {
			protocol = f.Panels[0].Protocol
		}
	}
	if protocol == "auto" {
		protocol = panel.ContactID
	}
	tl := tally.New("alarm")
	patience := panel.Patience{Wait: c.Wait, Tries: c.Tries}
	var o panel.Outcome
	if c.UDP {
		o, err = overUDP(ctx, c.To, account, protocol, patience, tl, event)
	} else {
		link := panel.NewTCP(c.To, true)
		o = panel.New(account, protocol, link, patience, tl).Send(ctx, event)
		_ = link.Close()
	}
	if err != nil {
		return err
	}
	s.say(words["said_sent"].in(s.Lang), strconv.Quote(o.Frame), account, where)
	if o.Answer != "" {
		s.say(words["said_answer"].in(s.Lang), o.Answer, o.Took.Round(time.Microsecond))
	} else {
		s.say(words["said_silence"].in(s.Lang), o.Err)
	}
	return s.report(o, tl.Report())
}

func overUDP(ctx context.Context, addr, account, protocol string, p panel.Patience, t *tally.Tally, e panel.Event) (panel.Outcome, error) {
	sockets, err := panel.NewSockets(addr, 1)
	if err != nil {
		return panel.Outcome{}, err
	}
	hear, stop := context.WithCancel(ctx)
	var reader sync.WaitGroup
	reader.Go(func() { _ = sockets.Run(hear) })
	defer reader.Wait()
	defer stop()
	return panel.New(account, protocol, sockets.Link(0), p, t).Send(ctx, e), nil
}

// site finds the facility and a zone for the alarm in the demo city: those of the
// account, or by default the first school's that has such a zone. An account the
// city does not have gives nothing.
func (c alarmCmd) site() (*city.Facility, city.Zone) {
	want := map[string]string{
		"fire": city.ZoneFire, "restore": city.ZoneFire, "panic": city.ZonePanic, "intrusion": city.ZoneIntrusion, "gas": city.ZoneGas,
	}[c.Class]
	facilities := demo()
	for i := range facilities {
		f := &facilities[i]
		zones := f.Panels[0].Zones
		at := slices.IndexFunc(zones, func(z city.Zone) bool { return z.Kind == want })
		switch {
		case c.Account == f.Panels[0].Account && at < 0:
			return f, city.Zone{}
		case c.Account == f.Panels[0].Account, c.Account == "" && (at >= 0 || want == ""):
			return f, zones[max(at, 0)]
		}
	}
	return nil, city.Zone{}
}

func (c alarmCmd) event(z city.Zone) (panel.Event, error) {
	e := panel.Plain(panel.Kind(c.Class))
	e.Text = c.Text
	if c.Restore {
		e.Qualifier = panel.Restored
	}
	if z.Code != "" {
		e.Code = z.Code
		e.Area, _ = strconv.Atoi(z.Area)
		e.Zone, _ = strconv.Atoi(z.Number)
	}
	if c.Code != "" {
		if n, err := strconv.Atoi(c.Code); err != nil || len(c.Code) != 3 || n < 0 {
			return e, fmt.Errorf("--code %q: three digits", c.Code)
		}
		e.Code = c.Code
	}
	if c.Zone >= 0 {
		e.Zone = c.Zone
	}
	if c.Area >= 0 {
		e.Area = c.Area
	}
	if e.Zone > 999 || e.Area > 99 {
		return e, fmt.Errorf("--zone at most 999, --area at most 99")
	}
	return e, nil
}

type panelsCmd struct {
	To       string        `name:"to" aliases:"addr" default:"127.0.0.1:12000" placeholder:"HOST:PORT" help:"${addr_alarms}"`
	UDP      bool          `name:"udp" help:"${udp}"`
	OneShot  bool          `help:"${one_shot}"`
	Shared   int           `help:"${shared}"`
	Sockets  int           `default:"64" help:"${sockets}"`
	Panels   int           `default:"100" help:"${panels}"`
	Unknown  bool          `help:"${unknown}"`
	Protocol string        `default:"auto" enum:"auto,adm-cid,sia-dcs" help:"${protocol} ${enum}."`
	Mix      string        `default:"all" help:"${mix} ${mixes}."`
	Count    int           `help:"${count}"`
	Each     int           `help:"${each}"`
	Duration time.Duration `help:"${duration}"`
	Rate     float64       `help:"${rate}"`
	Storm    bool          `help:"${storm}"`
	First    int           `help:"${first}"`
	Wait     time.Duration `default:"5s" help:"${wait}"`
	Tries    int           `default:"6" help:"${tries}"`
	Log      string        `type:"path" help:"${log}"`
}

// Run plays many panels.
func (c panelsCmd) Run(ctx context.Context, s stage) (err error) {
	if err := s.local(c.To); err != nil {
		return err
	}
	if c.Panels < 1 {
		return fmt.Errorf("--panels %d: at least one", c.Panels)
	}
	o := panel.Options{
		Network: "tcp", Addr: c.To, OneShot: c.OneShot, Shared: c.Shared, Sockets: c.Sockets, Devices: c.devices(),
		Seed: s.Seed, First: c.First, Patience: panel.Patience{Wait: c.Wait, Tries: c.Tries},
		Count: c.Count, Each: c.Each, Duration: c.Duration, Rate: c.Rate,
	}
	if c.UDP {
		o.Network = "udp"
	}
	if c.Storm {
		c.Mix = "urgent"
		o.Each, o.Spread = 3, 7*time.Second
	}
	if o.Mix, err = panel.NamedMix(c.Mix); err != nil {
		return err
	}
	if o.Count <= 0 && o.Each <= 0 && o.Duration <= 0 {
		o.Each = 10
	}
	if c.Log != "" {
		done, finish, err := outcomes(c.Log)
		if err != nil {
			return err
		}
		defer func() {
			if e := finish(); err == nil {
				err = e
			}
		}()
		o.Done = done
	}
	tl := tally.New("panels")
	l, err := panel.NewLoad(o, tl)
	if err != nil {
		return err
	}
	if err := l.Run(ctx); err != nil {
		return err
	}
	return s.report(nil, tl.Report())
}

// devices are the demo city's first panels, or others beyond it.
func (c panelsCmd) devices() []panel.Device {
	facilities := demo()
	known := make(map[string]bool, len(facilities))
	var out []panel.Device
	for _, f := range facilities {
		p := f.Panels[0]
		known[p.Account] = true
		if !c.Unknown && len(out) < c.Panels {
			out = append(out, panel.Device{Account: p.Account, Protocol: p.Protocol})
		}
	}
	for n := 0; len(out) < c.Panels; n++ {
		// Eight digits: no panel of the city has so many.
		out = append(out, panel.Device{Account: fmt.Sprintf("%08X", 0xF0000000+n), Protocol: []string{panel.ContactID, panel.SIA}[n%2]})
	}
	for i := range out {
		if c.Protocol != "auto" {
			out[i].Protocol = c.Protocol
		}
	}
	return out
}

// outcomes writes each outcome to a file; the returned functions are the writer
// and the end, which tells what went wrong in between.
func outcomes(path string) (func(panel.Outcome), func() error, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, nil, err
	}
	var mu sync.Mutex
	w := bufio.NewWriterSize(f, 1<<20)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	var failed error
	write := func(o panel.Outcome) {
		mu.Lock()
		defer mu.Unlock()
		if e := enc.Encode(o); failed == nil {
			failed = e
		}
	}
	finish := func() error {
		mu.Lock()
		defer mu.Unlock()
		if e := w.Flush(); failed == nil {
			failed = e
		}
		if e := f.Close(); failed == nil {
			failed = e
		}
		if failed != nil {
			return fmt.Errorf("write %s: %w", path, failed)
		}
		return nil
	}
	return write, finish, nil
}
