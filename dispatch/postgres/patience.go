package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"nabat/dispatch"
)

// Between two looks whether the database is back.
const (
	firstPause   = 20 * time.Millisecond
	longestPause = 250 * time.Millisecond
)

// patience is how long Patiently tries if its context has more.
const patience = 10 * time.Second

// Away tells an error of a database that is stopping, starting, recovering or not
// to be reached, and will be back, from one of the work itself.
func Away(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch pg.Code {
		case "57P01", "57P02", "57P03", // admin_shutdown, crash_shutdown, cannot_connect_now
			"57P05", // idle_session_timeout
			"53300": // too_many_connections
			return true
		}
		return pg.Code[:2] == "08" // connection exceptions
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	var timeout net.Error
	return pgconn.SafeToRetry(err) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.As(err, &timeout) && !errors.Is(err, context.DeadlineExceeded)
}

// Patiently runs do again while the database is away, until ctx ends or patience
// is over; the error is then dispatch.ErrBusy. do must be harmless when it is done
// twice: only the answer to the first time may have been lost.
func Patiently(ctx context.Context, do func(context.Context) error) error {
	began := time.Now()
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := do(ctx)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil || Away(err) && time.Since(began)+pause > patience:
			return fmt.Errorf("%w: %w", dispatch.ErrBusy, err)
		case !Away(err):
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", dispatch.ErrBusy, err)
		case <-time.After(pause):
		}
	}
}
