package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
	"nabat/dispatch"
)

// Journal reads lines after a place, in order.
type Journal interface {
	Events(ctx context.Context, after int64, limit int) ([]dispatch.Event, error)
}

// Memory is the database's own note of the heads that were signed. Whoever
// shortens or removes the file of heads is found by it.
type Memory interface {
	// LastSigned is the number and the signature of the newest head; 0 for none.
	LastSigned(ctx context.Context) (number int, sig string, err error)
	NoteSigned(ctx context.Context, number int, at time.Time, seq int64, sig string) error
}

// ErrHeadsGone says that the file lacks heads which the database remembers.
var ErrHeadsGone = errors.New("signed heads are missing: the file has fewer or other ones than the database remembers; " +
	"restore the audit directory, or begin anew with «nabat audit seal --new»")

// CheckMemory compares the file's heads with what the database remembers.
func CheckMemory(ctx context.Context, heads []Head, m Memory) error {
	number, sig, err := m.LastSigned(ctx)
	if err != nil {
		return err
	}
	if number > len(heads) || (number > 0 && heads[number-1].Sig != sig) {
		return ErrHeadsGone
	}
	return nil
}

const (
	chunk    = 1000             // lines read at once
	lastSeal = 10 * time.Second // bounds the head that is signed at the stop
	// firstLook is how often a sealer without any head looks for the first line:
	// until there is a head, a new house cannot be told from one whose heads were
	// taken away, and verification fails.
	firstLook = time.Second
)

// Sealer signs heads while the engine runs.
type Sealer struct {
	journal Journal
	memory  Memory
	heads   *Heads
	log     *zap.Logger
	every   time.Duration
}

// NewSealer builds a sealer that signs a head every so often, if there is
// something new, besides one at start, one soon after the first line of all, and
// one at the end.
func NewSealer(j Journal, m Memory, heads *Heads, log *zap.Logger, every time.Duration) *Sealer {
	return &Sealer{journal: j, memory: m, heads: heads, log: log.Named("dispatch.audit"), every: every}
}

// Run signs until ctx ends, then once more, within lastSeal.
func (s *Sealer) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			if err := s.Seal(ctx); err != nil && ctx.Err() == nil {
				s.log.Error("cannot sign the journal's head", zap.Error(err))
			}
			timer.Reset(s.pause())
		case <-ctx.Done():
			s.sealLast(context.WithoutCancel(ctx))
			return nil
		}
	}
}

func (s *Sealer) pause() time.Duration {
	if heads, err := s.heads.Read(); err == nil && len(heads) == 0 {
		return min(s.every, firstLook)
	}
	return s.every
}

func (s *Sealer) sealLast(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lastSeal)
	defer cancel()
	if err := s.Seal(ctx); err != nil {
		s.log.Error("cannot sign the journal's last head", zap.Error(err))
	}
}

// Seal signs a head over everything that the journal holds now.
func (s *Sealer) Seal(ctx context.Context) error {
	heads, err := s.heads.Read()
	if err != nil {
		return err
	}
	if err := CheckMemory(ctx, heads, s.memory); err != nil {
		return err
	}
	var r running
	if len(heads) > 0 {
		if r, err = resume(heads[len(heads)-1]); err != nil {
			return err
		}
	}
	before := r.seq
	for {
		events, err := s.journal.Events(ctx, r.seq, chunk)
		if err != nil {
			return err
		}
		for _, e := range events {
			r.add(e.Seq, e.Hash)
		}
		if len(events) < chunk {
			break
		}
	}
	if r.seq == before {
		return nil
	}
	head, err := s.heads.Append(r.head(time.Now()))
	if err != nil {
		return fmt.Errorf("sign the journal's head: %w", err)
	}
	return s.memory.NoteSigned(ctx, len(heads)+1, head.At, head.Seq, head.Sig)
}
