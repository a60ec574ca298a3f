package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"time"

	"nabat/simulators/day"
	"nabat/simulators/duty"
	"nabat/simulators/operator"
	"nabat/simulators/tally"
)

// bounded ends ctx after d; 0 does not.
func bounded(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if d <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, d)
}

// together runs every part until ctx ends; the first failure ends the others.
func together(ctx context.Context, parts ...func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	errs := make([]error, len(parts))
	for i, part := range parts {
		wg.Go(func() {
			if errs[i] = part(ctx); errs[i] != nil {
				cancel()
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

type dutyCmd struct {
	Brokers  []string      `default:"127.0.0.1:9092" help:"${brokers}"`
	Service  []string      `default:"fire" help:"${service}"`
	Speed    float64       `default:"1" help:"${speed}"`
	Refuse   float64       `help:"${refuse}"`
	GiveUp   float64       `help:"${give_up}"`
	Fresh    bool          `help:"${fresh}"`
	Count    int           `help:"${done}"`
	Duration time.Duration `help:"${duration}"`
}

// Run plays duty services until their count or time is over.
func (c dutyCmd) Run(ctx context.Context, s stage) error {
	if err := s.local(c.Brokers...); err != nil {
		return err
	}
	ctx, cancel := bounded(ctx, c.Duration)
	defer cancel()
	var services []*duty.Service
	var parts []func(context.Context) error
	for _, name := range c.Service {
		d, err := duty.New(duty.Options{
			Service: name, Brokers: c.Brokers, Count: c.Count, Fresh: c.Fresh, Log: s.log,
			Habits: duty.Habits{Speed: c.Speed, Refuse: c.Refuse, GiveUp: c.GiveUp, Seed: s.Seed},
		})
		if err != nil {
			return err
		}
		services = append(services, d)
		parts = append(parts, d.Run)
	}
	if err := together(ctx, parts...); errors.Is(err, duty.ErrNoBroker) {
		return fmt.Errorf("%s: %w", words["no_broker"].in(s.Lang), err)
	} else if err != nil {
		return err
	}
	var reports []tally.Report
	missing := false
	for _, d := range services {
		reports = append(reports, d.Reports()...)
		if d.Done() < c.Count {
			missing = true
			fmt.Fprintf(s.err, words["few_done"].in(s.Lang)+"\n", d.Done(), c.Count)
		}
	}
	if err := s.report(nil, reports...); err != nil {
		return err
	}
	if missing {
		return errLost
	}
	return nil
}

// access is what the demo writes for those who want to come in.
type access struct {
	Console string `json:"console"`
	Users   []struct {
		Login     string `json:"login"`
		Role      string `json:"role"`
		Password  string `json:"password"`
		Simulated bool   `json:"simulated"`
	} `json:"users"`
}

// staff reads the robots' logins.
func staff(path string) (console string, people []day.Staff, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", nil, err
	}
	var a access
	if err := json.Unmarshal(text, &a); err != nil {
		return "", nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, u := range a.Users {
		role := operator.Role(u.Role)
		if u.Simulated && (role == operator.CallTaker || role == operator.Supervisor) {
			people = append(people, day.Staff{Login: u.Login, Password: u.Password, Role: role})
		}
	}
	return a.Console, people, nil
}

type operatorsCmd struct {
	URL      string        `name:"url" help:"${url}" placeholder:"http://127.0.0.1:8112"`
	Access   string        `type:"path" help:"${access}"`
	Login    string        `help:"${login}"`
	Password string        `help:"${password}" env:"NABATSIM_PASSWORD"`
	Role     string        `default:"operator" enum:"operator,supervisor" help:"${role} ${enum}."`
	Speed    float64       `default:"1" help:"${speed}"`
	Duration time.Duration `help:"${duration}"`
}

// Run plays the people at the consoles; without --duration until it is stopped.
func (c operatorsCmd) Run(ctx context.Context, s stage) error {
	console, people, err := c.people()
	if err != nil {
		return err
	}
	if len(people) == 0 {
		return errors.New(words["no_logins"].in(s.Lang))
	}
	// Only the people of the city: its panels and callers are somebody else's.
	return live(ctx, s, c.Duration, day.Options{Console: console, Staff: people, Speed: c.Speed, Seed: s.Seed, Log: s.log})
}

func (c operatorsCmd) people() (console string, people []day.Staff, err error) {
	if c.Access != "" {
		if console, people, err = staff(c.Access); err != nil {
			return "", nil, err
		}
	}
	if c.Login != "" {
		people = []day.Staff{{Login: c.Login, Password: c.Password, Role: operator.Role(c.Role)}}
	}
	if c.URL != "" {
		console = c.URL
	}
	if console == "" {
		console = "http://127.0.0.1:8112"
	}
	return console, people, nil
}

// live runs a city, or a part of it, and reports.
func live(ctx context.Context, s stage, d time.Duration, o day.Options) error {
	addrs := append([]string{}, o.Brokers...)
	if o.Alarms != "" {
		addrs = append(addrs, o.Alarms)
	}
	if o.SIP != "" {
		addrs = append(addrs, o.SIP)
	}
	if o.Console != "" {
		u, err := url.Parse(o.Console)
		if err != nil {
			return err
		}
		addrs = append(addrs, u.Hostname())
	}
	if err := s.local(addrs...); err != nil {
		return err
	}
	city, err := day.New(o)
	if err != nil {
		return err
	}
	ctx, cancel := bounded(ctx, d)
	defer cancel()
	if err := city.Run(ctx); err != nil {
		return err
	}
	return s.report(nil, city.Reports()...)
}

type dayCmd struct {
	Alarms   string        `default:"127.0.0.1:12000" help:"${addr_alarms}"`
	SIP      string        `name:"sip" default:"127.0.0.1:5060" help:"${addr_sip}"`
	Console  string        `help:"${url}" placeholder:"http://127.0.0.1:8112"`
	Access   string        `type:"path" help:"${access}"`
	Brokers  []string      `help:"${brokers}" placeholder:"127.0.0.1:9092"`
	Services []string      `default:"police,fire,gas,medical" help:"${services}"`
	Speed    float64       `default:"1" help:"${speed}"`
	Duration time.Duration `help:"${duration}"`
}

// Run lets the city live; without --duration until it is stopped. The people
// come with --access, the services with --brokers.
func (c dayCmd) Run(ctx context.Context, s stage) error {
	o := day.Options{
		Alarms: c.Alarms, SIP: c.SIP, Console: c.Console, Brokers: c.Brokers, Services: c.Services,
		Speed: c.Speed, Seed: s.Seed, Log: s.log,
		FirstAlarm: func(account, facility string) { s.say("пожар / fire: %s, %s", account, facility) },
	}
	if c.Access != "" {
		console, people, err := staff(c.Access)
		if err != nil {
			return err
		}
		o.Staff = people
		if o.Console == "" {
			o.Console = console
		}
	}
	return live(ctx, s, c.Duration, o)
}
