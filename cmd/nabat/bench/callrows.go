package main

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// callRows is the ceiling of calls without SIP: what one call leaves behind,
// committed in three steps as it happens (opened, answered, ended), several
// calls in a transaction as the engine does.
type callRows struct {
	db        *database
	contacts  sample
	incidents sample
	events    sample
	number    int64
}

func newCallRows(ctx context.Context, db *database) (*callRows, error) {
	c := &callRows{db: db}
	var err error
	for _, t := range []struct {
		into  *sample
		query string
	}{
		{&c.contacts, `SELECT * FROM contacts WHERE kind = 'call' AND state = 'ended' LIMIT 500`},
		{&c.incidents, `SELECT * FROM incidents WHERE origin = 'call' LIMIT 500`},
		{&c.events, `SELECT id, incident_id, version, at, actor, kind, data, data_sha, prev_hash, hash FROM events
		              WHERE incident_id IN (SELECT id FROM incidents WHERE origin = 'call' LIMIT 500)`},
	} {
		if *t.into, err = db.sample(ctx, t.query); err != nil {
			return nil, err
		}
	}
	for _, table := range []string{"contacts", "incidents", "events"} {
		if err := db.like(ctx, "bench_"+table, table, ""); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// measure commits calls by so many writers, so many in each transaction.
func (c *callRows) measure(ctx context.Context, writers, batch int, d time.Duration) (float64, error) {
	numbers := make([]int64, writers)
	for w := range numbers {
		c.number += 10_000_000
		numbers[w] = c.number
	}
	return side(ctx, writers, d, func(ctx context.Context, w int) (int, error) {
		calls := make([]uuid.UUID, batch)
		for i := range calls {
			id, err := uuid.NewV7()
			if err != nil {
				return 0, err
			}
			calls[i] = id
		}
		first := numbers[w]
		numbers[w] += int64(batch)
		if err := c.open(ctx, calls, first); err != nil {
			return 0, fmt.Errorf("open: %w", err)
		}
		for version, state := range map[int]string{2: "answered", 3: "ended"} {
			if err := c.progress(ctx, calls, version, state); err != nil {
				return 0, fmt.Errorf("%s: %w", state, err)
			}
		}
		return batch, nil
	})
}

// like copies sample rows for calls, with values of their own where they must
// differ.
func (s sample) like(calls []uuid.UUID, own func(row []any, call uuid.UUID, i int)) pgx.CopyFromSource {
	rows := make([][]any, len(calls))
	for i, call := range calls {
		rows[i] = append([]any(nil), s.rows[i%len(s.rows)]...)
		own(rows[i], call, i)
	}
	return pgx.CopyFromRows(rows)
}

func (c *callRows) open(ctx context.Context, calls []uuid.UUID, first int64) error {
	return pgx.BeginFunc(ctx, c.db.pool, func(tx pgx.Tx) error {
		_, err := tx.CopyFrom(ctx, pgx.Identifier{"bench_contacts"}, c.contacts.columns, c.contacts.like(calls, func(row []any, call uuid.UUID, _ int) {
			row[0], row[2], row[4] = [16]byte(call), call.String(), [16]byte(call)
		}))
		if err != nil {
			return err
		}
		_, err = tx.CopyFrom(ctx, pgx.Identifier{"bench_incidents"}, c.incidents.columns, c.incidents.like(calls, func(row []any, call uuid.UUID, i int) {
			row[0], row[1] = [16]byte(call), first+int64(i)
		}))
		if err != nil {
			return err
		}
		return c.event(ctx, tx, calls, 1)
	})
}

func (c *callRows) progress(ctx context.Context, calls []uuid.UUID, version int, state string) error {
	return pgx.BeginFunc(ctx, c.db.pool, func(tx pgx.Tx) error {
		ids := make([][16]byte, len(calls))
		for i, call := range calls {
			ids[i] = call
		}
		var b pgx.Batch
		b.Queue(`SELECT * FROM bench_incidents WHERE id = ANY($1) ORDER BY id FOR UPDATE`, ids)
		b.Queue(`UPDATE bench_contacts SET state = $2::text, answered_at = COALESCE(answered_at, now()),
			ended_at = CASE WHEN $2::text = 'ended' THEN now() END WHERE id = ANY($1)`, ids, state)
		b.Queue(`UPDATE bench_incidents SET version = $2 WHERE id = ANY($1)`, ids, version)
		if err := tx.SendBatch(ctx, &b).Close(); err != nil {
			return err
		}
		return c.event(ctx, tx, calls, version)
	})
}

func (c *callRows) event(ctx context.Context, tx pgx.Tx, calls []uuid.UUID, version int) error {
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"bench_events"}, c.events.columns, c.events.like(calls, func(row []any, call uuid.UUID, _ int) {
		id := call
		id[15] ^= byte(version)
		id[0] ^= byte(version)                                                // out of the way of the calls' own
		row[0], row[1], row[2] = [16]byte(id), [16]byte(call), int32(version) //nolint:gosec // one to three
	}))
	return err
}
