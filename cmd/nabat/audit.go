package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"nabat/cmd/nabat/config"
	"nabat/dispatch/audit"
	"nabat/dispatch/postgres"
)

type auditCmd struct {
	Verify auditVerifyCmd `cmd:"" help:"${cmd_audit_verify}"`
	Seal   auditSealCmd   `cmd:"" help:"${cmd_audit_seal}"`
}

type auditVerifyCmd struct {
	config.Base
}

// Run walks the journal and names every broken link.
func (c auditVerifyCmd) Run(ctx context.Context, t terminal) error {
	return withExisting(ctx, c.Base, t, func(d opened) error {
		heads, err := audit.OpenHeads(filepath.Join(c.Data, "audit"))
		if err != nil {
			return err
		}
		// The heads before the journal: a head signed in between is then not missed.
		signed, err := heads.Read()
		if err != nil {
			return err
		}
		store := postgres.NewStore(d.pool, nil)
		var rep audit.Report
		err = store.Frozen(ctx, func(v postgres.View) (err error) {
			rep, err = audit.Verify(ctx, v, v, signed)
			return err
		})
		if err != nil {
			return err
		}
		switch err := audit.CheckMemory(ctx, signed, store); {
		case errors.Is(err, audit.ErrHeadsGone):
			rep.Broken = append(rep.Broken, audit.Broken{What: err.Error()})
		case err != nil:
			return err
		}
		return sayReport(t, rep, heads.Fingerprint())
	})
}

func sayReport(t terminal, rep audit.Report, key string) error {
	fmt.Fprintf(t.out, t.say(
		"строк журнала: %d (стёрты данные: %d), происшествий: %d, подписанных голов: %d, ключ %s\n",
		"journal lines: %d (data erased: %d), incidents: %d, signed heads: %d, key %s\n"),
		rep.Events, rep.Erased, rep.Incidents, rep.Heads, key)
	if rep.Heads > 0 {
		fmt.Fprintf(t.out, t.say("подписи: с %s по %s\n", "signatures: from %s to %s\n"),
			rep.FirstHead.Format(time.RFC3339), rep.LastHead.Format(time.RFC3339))
	}
	if len(rep.Broken) == 0 {
		fmt.Fprintln(t.out, t.say("журнал цел", "the journal is whole"))
		return nil
	}
	for _, b := range rep.Broken {
		fmt.Fprintln(t.out, t.say("нарушено:", "broken:"), b)
	}
	return errSaid
}

type auditSealCmd struct {
	config.Base
	New bool `help:"${flag_seal_new}"`
}

// Run signs the journal's head now.
func (c auditSealCmd) Run(ctx context.Context, t terminal) error {
	return withExisting(ctx, c.Base, t, func(d opened) error {
		heads, err := audit.OpenHeads(filepath.Join(c.Data, "audit"))
		if err != nil {
			return err
		}
		store := postgres.NewStore(d.pool, nil)
		if c.New {
			fmt.Fprintln(t.err, t.say(
				"ВНИМАНИЕ: прежние подписи откладываются, журнал подписывается заново таким, каков он сейчас.",
				"ATTENTION: earlier signatures are put aside, the journal is signed afresh as it is now."))
			if err := startAfresh(ctx, d.owner, heads); err != nil {
				return err
			}
		}
		return audit.NewSealer(store, store, heads, d.log, time.Hour).Seal(ctx)
	})
}

// startAfresh begins a new file of heads. What the database remembers of the old
// one only its owner can remove.
func startAfresh(ctx context.Context, owner string, heads *audit.Heads) error {
	pool, err := postgres.Open(ctx, owner, postgres.PoolOptions{MaxConns: 2, Name: "nabat-cli"})
	if err != nil {
		return err
	}
	defer pool.Close()
	return errors.Join(heads.Restart(time.Now()), postgres.NewStore(pool, nil).ForgetSigned(ctx))
}
