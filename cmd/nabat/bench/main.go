package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// plan says how long everything takes and how much of it there is.
type plan struct {
	engine  string
	profile string // directory for the engine's processor profiles; empty: none
	only    string // parts to run; empty: all
	conns   int    // connections of panels
	slices  int
	slice   time.Duration // of a measurement
	step    time.Duration // of the search for the most calls
	rates   []rate        // of part «wire → Kafka»
}

// rate is one pace of alarms on their way to Kafka.
type rate struct {
	perSecond int
	slice     time.Duration
}

func (p plan) wants(part string) bool { return p.only == "" || strings.Contains(p.only, part) }

func main() {
	if len(os.Args) > 1 {
		if role, ok := roles[os.Args[1]]; ok {
			os.Exit(roleCode(role(os.Args[2:])))
		}
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func roleCode(err error) int {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	return 0
}

// run measures everything and returns the exit code.
func run(args []string, out, errs io.Writer) int {
	p, json, err := flags(args, errs)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r, err := measure(ctx, p, errs)
	r.print(out)
	if json != "" {
		err = errors.Join(err, r.writeJSON(json))
	}
	if err != nil {
		fmt.Fprintln(errs, "bench:", err)
		return 1
	}
	if len(r.Problems) > 0 {
		return 1
	}
	return 0
}

func flags(args []string, errs io.Writer) (plan, string, error) {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(errs)
	quick := f.Bool("quick", false, "меньше минуты вместо четырёх, цифры грубее / under a minute, rougher figures")
	json := f.String("json", "", "записать результат и сюда / write the result to this `file` too")
	p := plan{}
	f.StringVar(&p.engine, "engine", "bin/nabat", "`program` to measure")
	f.StringVar(&p.profile, "profile", "", "`directory` for processor profiles of the engine")
	f.StringVar(&p.only, "only", "", "some of kafka,alarms,calls")
	f.IntVar(&p.conns, "conns", 1000, "connections of panels")
	if err := f.Parse(args); err != nil {
		return p, "", err
	}
	p.slices, p.slice, p.step = 3, 5*time.Second, 2*time.Second
	p.rates = []rate{{5, 4 * time.Second}, {50, 3 * time.Second}, {300, 2500 * time.Millisecond}}
	if *quick {
		p.slice, p.step = 700*time.Millisecond, 500*time.Millisecond
		p.rates = []rate{{5, 800 * time.Millisecond}, {50, 600 * time.Millisecond}, {300, 600 * time.Millisecond}}
	}
	return p, *json, nil
}

// measure runs the parts on one engine.
func measure(ctx context.Context, p plan, errs io.Writer) (r *report, err error) {
	say := func(format string, args ...any) {
		fmt.Fprintf(errs, time.Now().Format("15:04:05 ")+format+"\n", args...)
	}
	r = newReport()
	started := time.Now()
	e, err := startEngine(ctx, p, say)
	if err != nil {
		return r, err
	}
	defer func() {
		if err == nil && len(r.Problems) > 0 {
			err = errors.New("something is wrong, see above")
		}
		err = errors.Join(err, e.stop(err))
	}()
	if r.Machine.PostgreSQL, err = e.db.version(ctx); err != nil {
		return r, err
	}
	for _, part := range []struct {
		name string
		do   func(context.Context, plan, *engine, *report, func(string, ...any)) error
	}{
		{"kafka", measureKafka}, {"alarms", measureAlarms}, {"calls", measureCalls},
	} {
		if !p.wants(part.name) {
			continue
		}
		if err := part.do(ctx, p, e, r, say); err != nil {
			return r, fmt.Errorf("%s: %w", part.name, err)
		}
	}
	r.Seconds = time.Since(started).Seconds()
	r.Machine.LoadAfter = loadAverage()
	return r, nil
}
