package main

import (
	"context"
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
	return withDatabase(ctx, c.Base, t, func(d opened) error {
		heads, err := audit.OpenHeads(filepath.Join(c.Data, "audit"))
		if err != nil {
			return err
		}
		signed, err := heads.Read()
		if err != nil {
			return err
		}
		store := postgres.NewStore(d.pool, nil)
		rep, err := audit.Verify(ctx, store, store, signed)
		if err != nil {
			return err
		}
		fmt.Fprintf(t.out, t.say(
			"строк журнала: %d, происшествий: %d, подписанных голов: %d\n",
			"journal lines: %d, incidents: %d, signed heads: %d\n"), rep.Events, rep.Incidents, rep.Heads)
		if !rep.LastHead.IsZero() {
			fmt.Fprintf(t.out, t.say("последняя подпись: %s\n", "last signature: %s\n"), rep.LastHead.Format(time.RFC3339))
		}
		if len(rep.Broken) == 0 {
			fmt.Fprintln(t.out, t.say("журнал цел", "the journal is whole"))
			return nil
		}
		for _, b := range rep.Broken {
			fmt.Fprintln(t.out, t.say("нарушено:", "broken:"), b)
		}
		return errSaid
	})
}

type auditSealCmd struct {
	config.Base
}

// Run signs the journal's head now.
func (c auditSealCmd) Run(ctx context.Context, t terminal) error {
	return withDatabase(ctx, c.Base, t, func(d opened) error {
		heads, err := audit.OpenHeads(filepath.Join(c.Data, "audit"))
		if err != nil {
			return err
		}
		return audit.NewSealer(postgres.NewStore(d.pool, nil), heads, d.log, time.Hour).Seal(ctx)
	})
}
