package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"nabat/dispatch"
)

const selectEvents = `
	SELECT seq, id, incident_id, version, at, actor, kind, data, data_sha, prev_hash, hash
	  FROM events`

func scanEvent(row pgx.CollectableRow) (dispatch.Event, error) {
	var e dispatch.Event
	var data *string
	var sha, prev, hash []byte
	err := row.Scan(&e.Seq, &e.ID, &e.Incident, &e.Version, &e.At, &e.Actor, &e.Kind, &data, &sha, &prev, &hash)
	if err != nil {
		return e, err
	}
	if data != nil {
		e.Data = []byte(*data)
	}
	e.At = e.At.UTC()
	copy(e.DataSHA[:], sha)
	copy(e.Prev[:], prev)
	copy(e.Hash[:], hash)
	return e, nil
}

// Events reads the journal after a place, in order, at most limit lines. Lines
// become visible in the order of Seq, so nothing is ever skipped.
func (s *Store) Events(ctx context.Context, after int64, limit int) ([]dispatch.Event, error) {
	rows, err := s.pool.Query(ctx, selectEvents+` WHERE seq > $1 ORDER BY seq LIMIT $2`, after, limit)
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	events, err := pgx.CollectRows(rows, scanEvent)
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	return events, nil
}

// IncidentEvents reads one incident's journal from its beginning.
func (s *Store) IncidentEvents(ctx context.Context, id dispatch.IncidentID) ([]dispatch.Event, error) {
	rows, err := s.pool.Query(ctx, selectEvents+` WHERE incident_id = $1 ORDER BY version`, id)
	if err != nil {
		return nil, fmt.Errorf("read the journal of %s: %w", id, err)
	}
	events, err := pgx.CollectRows(rows, scanEvent)
	if err != nil {
		return nil, fmt.Errorf("read the journal of %s: %w", id, err)
	}
	return events, nil
}

// LastSeq is the place of the newest line; 0 for an empty journal.
func (s *Store) LastSeq(ctx context.Context) (int64, error) {
	var seq int64
	err := s.pool.QueryRow(ctx, `SELECT COALESCE(max(seq), 0) FROM events`).Scan(&seq)
	if err != nil {
		return 0, fmt.Errorf("read the journal's end: %w", err)
	}
	return seq, nil
}

// View is the journal and the cards as they stood at one moment.
type View struct{ tx pgx.Tx }

// Frozen hands do one moment of the journal and the cards, however long do reads
// and whatever is written meanwhile.
func (s *Store) Frozen(ctx context.Context, do func(View) error) error {
	read := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	return pgx.BeginTxFunc(ctx, s.pool, read, func(tx pgx.Tx) error { return do(View{tx}) })
}

// Events is Store.Events of the view's moment.
func (v View) Events(ctx context.Context, after int64, limit int) ([]dispatch.Event, error) {
	rows, err := v.tx.Query(ctx, selectEvents+` WHERE seq > $1 ORDER BY seq LIMIT $2`, after, limit)
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	events, err := pgx.CollectRows(rows, scanEvent)
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	return events, nil
}

// Heads calls each with every incident's version and head.
func (v View) Heads(ctx context.Context, each func(id dispatch.IncidentID, version int, head [32]byte) error) error {
	rows, err := v.tx.Query(ctx, `SELECT id, version, head FROM incidents`)
	if err != nil {
		return fmt.Errorf("read the cards' heads: %w", err)
	}
	var id dispatch.IncidentID
	var version int
	var head []byte
	_, err = pgx.ForEachRow(rows, []any{&id, &version, &head}, func() error {
		var h [32]byte
		copy(h[:], head)
		return each(id, version, h)
	})
	if err != nil {
		return fmt.Errorf("read the cards' heads: %w", err)
	}
	return nil
}

// LastSigned is the newest signed head that the database remembers: its number
// and signature; 0 for none.
func (s *Store) LastSigned(ctx context.Context) (number int, sig string, err error) {
	err = s.pool.QueryRow(ctx, `SELECT number, sig FROM audit_heads ORDER BY number DESC LIMIT 1`).Scan(&number, &sig)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, "", nil
	}
	if err != nil {
		return 0, "", fmt.Errorf("read the remembered heads: %w", err)
	}
	return number, sig, nil
}

// NoteSigned remembers a signed head.
func (s *Store) NoteSigned(ctx context.Context, number int, at time.Time, seq int64, sig string) error {
	_, err := s.pool.Exec(ctx, `
		INSERT INTO audit_heads (number, at, seq, sig) VALUES ($1, $2, $3, $4) ON CONFLICT (number) DO NOTHING`, number, at, seq, sig)
	if err != nil {
		return fmt.Errorf("remember the signed head: %w", err)
	}
	return nil
}

// ForgetSigned begins a new file of heads.
func (s *Store) ForgetSigned(ctx context.Context) error {
	if _, err := s.pool.Exec(ctx, `DELETE FROM audit_heads`); err != nil {
		return fmt.Errorf("forget the signed heads: %w", err)
	}
	return nil
}
