package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"time"

	"nabat/cmd/nabat/config"
	"nabat/dispatch"
	"nabat/routing"
	routingdb "nabat/routing/postgres"
)

type rulesCmd struct {
	Check   rulesCheckCmd   `cmd:"" help:"${cmd_rules_check}"`
	Publish rulesPublishCmd `cmd:"" help:"${cmd_rules_publish}"`
	Show    rulesShowCmd    `cmd:"" help:"${cmd_rules_show}"`
}

type rulesCheckCmd struct {
	File string `arg:"" type:"existingfile" help:"${flag_rules_file}"`
}

// Run compiles a file and lists its mistakes.
func (c rulesCheckCmd) Run(t terminal) error {
	set, err := compileRules(t, c.File)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(t.out, t.say("правил: %d, ошибок нет\n", "rules: %d, no mistakes\n"), len(set.Rules)+1)
	return err
}

func compileRules(t terminal, file string) (*routing.Ruleset, error) {
	body, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	set, err := routing.Compile(file, body, routing.DefaultVocabulary())
	if faults, ok := errors.AsType[*routing.FaultsError](err); ok {
		for _, f := range faults.Faults {
			fmt.Fprintln(t.err, f)
		}
		return nil, errSaid
	}
	return set, err
}

type rulesPublishCmd struct {
	config.Base
	File string `arg:"" type:"existingfile" help:"${flag_rules_file}"`
}

// Run publishes a file's rules under a new number.
func (c rulesPublishCmd) Run(ctx context.Context, t terminal) error {
	set, err := compileRules(t, c.File)
	if err != nil {
		return err
	}
	who := "cli"
	if u, err := user.Current(); err == nil {
		who = "cli:" + u.Username
	}
	return withDatabase(ctx, c.Base, t, func(d opened) error {
		number, _, err := routingdb.NewStore(d.pool, nil).Publish(ctx, set, dispatch.Actor(who), time.Now())
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(t.out, t.say("действует набор № %d\n", "ruleset %d is in force\n"), number)
		return err
	})
}

type rulesShowCmd struct {
	config.Base
}

// Run prints the YAML of the rules in force.
func (c rulesShowCmd) Run(ctx context.Context, t terminal) error {
	return withExisting(ctx, c.Base, t, func(d opened) error {
		p, err := routingdb.NewStore(d.pool, nil).Active(ctx)
		if err != nil {
			return err
		}
		fmt.Fprintf(t.out, "# %s %d, %s, %s\n", t.say("набор №", "ruleset"), p.Number, p.At.Format(time.RFC3339), p.By)
		_, err = t.out.Write(p.Body)
		return err
	})
}
