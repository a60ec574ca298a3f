// Command nabatsim plays the outside world of Nabat: alarm panels, callers, an
// SMS gateway, duty services, call-takers, or a whole city's day.
//
// Every mode says what was sent, acknowledged, refused and lost, and how long
// answers took; --json says it to a machine. It ends with 0 when everything sent
// was acknowledged, with 1 when something was lost or refused, with 2 when it
// could not run at all. It speaks to this machine only unless --allow-remote is
// given: a made-up alarm at a real receiver sends real people out.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
	"go.uber.org/zap"

	"nabat/simulators/panel"
	"nabat/simulators/tally"
)

// Exit codes.
const (
	exitWhole  = 0
	exitLost   = 1
	exitFailed = 2
)

// common are the flags of every mode.
type common struct {
	JSON        bool   `name:"json" help:"${json}"`
	Lang        string `enum:"ru,en" default:"${lang}" env:"NABAT_LANG" help:"${lang_help}"`
	Seed        uint64 `default:"1" help:"${seed}"`
	AllowRemote bool   `help:"${allow_remote}"`
	Verbose     bool   `short:"v" help:"${verbose}"`
}

type cli struct {
	common
	Alarm     alarmCmd     `cmd:"" help:"${cmd_alarm}"`
	Panels    panelsCmd    `cmd:"" help:"${cmd_panels}"`
	Call      callCmd      `cmd:"" help:"${cmd_call}"`
	SMS       smsCmd       `cmd:"" name:"sms" help:"${cmd_sms}"`
	Duty      dutyCmd      `cmd:"" help:"${cmd_duty}"`
	Operators operatorsCmd `cmd:"" help:"${cmd_operators}"`
	Day       dayCmd       `cmd:"" help:"${cmd_day}"`
}

// stage is what a mode may use.
type stage struct {
	common
	out io.Writer
	err io.Writer
	log *zap.Logger
}

// errLost: the mode ran and something was not acknowledged.
var errLost = errors.New("lost")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal ends at once
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// shown ends the parsing after help was printed.
type shown int

func run(ctx context.Context, args []string, out, errOut io.Writer) (code int) {
	lang := language(args)
	var c cli
	app, err := kong.New(&c, kong.Name("nabatsim"), kong.Description(words["description"].in(lang)),
		kong.Writers(out, errOut), kong.Exit(func(code int) { panic(shown(code)) }), vocabulary(lang),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}), kong.Help(withExamples(lang)),
		kong.BindTo(ctx, (*context.Context)(nil)))
	if err != nil {
		fmt.Fprintln(errOut, "nabatsim:", err)
		return exitFailed
	}
	app.Model.HelpFlag.Help = words["help"].in(lang)
	defer func() {
		if r := recover(); r != nil {
			s, ok := r.(shown)
			if !ok {
				panic(r)
			}
			code = int(s)
		}
	}()
	k, err := app.Parse(args)
	if err != nil {
		fmt.Fprintln(errOut, "nabatsim:", err)
		return exitFailed
	}
	st := stage{common: c.common, out: out, err: errOut, log: zap.NewNop()}
	if c.Verbose {
		cfg := zap.NewDevelopmentConfig()
		cfg.DisableStacktrace = true
		if st.log, err = cfg.Build(); err != nil {
			fmt.Fprintln(errOut, "nabatsim:", err)
			return exitFailed
		}
	}
	err = k.Run(st)
	switch {
	case err == nil:
		return exitWhole
	case errors.Is(err, errLost):
		return exitLost
	default:
		fmt.Fprintln(errOut, "nabatsim:", err)
		return exitFailed
	}
}

// local refuses an address outside this machine.
func (s stage) local(addrs ...string) error {
	for _, a := range addrs {
		if !s.AllowRemote && !panel.Loopback(a) {
			return fmt.Errorf(words["remote"].in(s.Lang), a)
		}
	}
	return nil
}

// report prints the counts and says whether everything was acknowledged.
// details are what the mode wants to show besides; only --json prints them.
func (s stage) report(details any, reports ...tally.Report) error {
	if s.JSON {
		enc := json.NewEncoder(s.out)
		enc.SetEscapeHTML(false)
		v := map[string]any{"reports": reports}
		if details != nil {
			v["details"] = details
		}
		if err := enc.Encode(v); err != nil {
			return err
		}
	}
	lost := false
	for _, r := range reports {
		if !s.JSON {
			r.Print(s.out)
		}
		lost = lost || !r.Whole()
	}
	if lost {
		return errLost
	}
	return nil
}

// say prints a line for a person; --json keeps it off.
func (s stage) say(format string, args ...any) {
	if !s.JSON {
		fmt.Fprintf(s.out, format+"\n", args...)
	}
}
