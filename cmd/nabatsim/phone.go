package main

import (
	"context"
	"fmt"
	"time"

	"nabat/simulators/caller"
	"nabat/simulators/city"
	"nabat/simulators/sms"
	"nabat/simulators/tally"
)

func network(tcp bool) string {
	if tcp {
		return "tcp"
	}
	return "udp"
}

type callCmd struct {
	To          string        `name:"to" aliases:"addr" default:"127.0.0.1:5060" placeholder:"HOST:PORT" help:"${addr_sip}"`
	TCP         bool          `name:"tcp" help:"${tcp}"`
	From        string        `help:"${from}"`
	Number      string        `default:"112" help:"${number}"`
	Count       int           `help:"${count}"`
	Duration    time.Duration `help:"${duration}"`
	Rate        float64       `help:"${rate}"`
	Hold        time.Duration `default:"5s" help:"${hold}"`
	Most        int           `default:"500" help:"${most}"`
	Endpoints   int           `default:"1" help:"${endpoints}"`
	Cancel      time.Duration `help:"${cancel}"`
	CancelShare float64       `help:"${share}"`
	Repeat      int           `help:"${repeat}"`
	NoSound     bool          `help:"${no_sound}"`
	WantSound   bool          `help:"${want}"`
	WaitForBye  bool          `help:"${bye}"`
}

// Run makes calls.
func (c callCmd) Run(ctx context.Context, s stage) error {
	if err := s.local(c.To); err != nil {
		return err
	}
	if c.Count <= 0 && c.Duration <= 0 {
		c.Count = 1
	}
	var last caller.Result
	o := caller.Options{
		Network: network(c.TCP), Peer: c.To, Count: c.Count, Duration: c.Duration, Rate: c.Rate, Most: c.Most,
		Endpoints: c.Endpoints, Seed: s.Seed, CancelShare: c.CancelShare, WantSound: c.WantSound,
		Plan: caller.Plan{
			From: c.From, To: c.Number, Hold: c.Hold, Cancel: c.Cancel, Repeats: c.Repeat,
			WaitForBye: c.WaitForBye, NoSound: c.NoSound,
		},
	}
	if c.Count == 1 {
		o.Done = func(r caller.Result) { last = r }
	}
	tl := tally.New("calls")
	l, err := caller.NewLoad(o, tl)
	if err != nil {
		return err
	}
	if err := l.Run(ctx); err != nil {
		return err
	}
	var details any
	if last.Call != "" {
		details = last
	}
	r := tl.Report()
	if err := s.report(details, r); err != nil {
		return err
	}
	if n := r.Notes[caller.TooLate]; n > 0 && c.CancelShare == 0 { // what was asked for did not happen
		fmt.Fprintf(s.err, words["too_late"].in(s.Lang)+"\n", n)
		return errLost
	}
	return nil
}

type smsCmd struct {
	To       string        `name:"to" aliases:"addr" default:"127.0.0.1:5060" placeholder:"HOST:PORT" help:"${addr_sip}"`
	TCP      bool          `name:"tcp" help:"${tcp}"`
	From     string        `help:"${from}"`
	Number   string        `default:"112" help:"${number}"`
	Text     string        `help:"${text}"`
	Count    int           `help:"${count}"`
	Duration time.Duration `help:"${duration}"`
	Rate     float64       `help:"${rate}"`
	Most     int           `default:"50" help:"${most}"`
	Tries    int           `default:"3" help:"${tries}"`
}

// Run sends text messages.
func (c smsCmd) Run(ctx context.Context, s stage) error {
	if err := s.local(c.To); err != nil {
		return err
	}
	if c.Count <= 0 && c.Duration <= 0 {
		c.Count = 1
	}
	teller := city.NewTeller(s.Seed)
	o := sms.Options{
		Network: network(c.TCP), Peer: c.To, Count: c.Count, Duration: c.Duration, Rate: c.Rate,
		Most: c.Most, Tries: c.Tries, Seed: s.Seed,
		Next: func(int) sms.Text {
			t := sms.Text{From: c.From, To: c.Number, Text: c.Text}
			if t.Text == "" {
				t.Text, _ = teller.SMS()
			}
			if t.From == "" {
				t.From = teller.Caller()
			}
			return t
		},
	}
	var last sms.Result
	if c.Count == 1 {
		o.Done = func(r sms.Result) { last = r }
	}
	tl := tally.New("sms")
	l, err := sms.NewLoad(o, tl)
	if err != nil {
		return err
	}
	if err := l.Run(ctx); err != nil {
		return err
	}
	if last.Call != "" {
		s.say(words["said_text"].in(s.Lang), last.From, last.Text)
		return s.report(last, tl.Report())
	}
	return s.report(nil, tl.Report())
}
