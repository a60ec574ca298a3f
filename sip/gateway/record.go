package gateway

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"go.uber.org/zap"

	"nabat/dispatch"
)

// The pauses between two attempts to store.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 2 * time.Second
	storeTime  = 10 * time.Second // bounds one attempt
)

// fact is what the recorder has to tell the house next.
type fact struct {
	progress dispatch.Progress
	by       dispatch.Actor
}

// record stores the contact, then its facts in their order, each until it is
// stored or the process ends. It is a goroutine of its own, so that the database
// never holds up a packet.
func (c *call) record(hard context.Context) {
	defer close(c.recorded)
	defer func() {
		if p := recover(); p != nil {
			c.ln.met.panics.Inc()
			c.log.Error("panic in the recorder of a call", zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
		}
	}()
	stored, takeover, ok := c.open(hard)
	if !ok {
		return
	}
	if takeover && finished(stored) {
		c.finished = true // the loop sees it once recorded is closed
		return
	}
	if takeover {
		c.ln.met.takeover.Inc()
		c.log.Info("call taken over with its stored contact", zap.Stringer("contact", stored.ID),
			zap.String("state", string(stored.State)), zap.String("reason", string(stored.EndReason)))
		c.tell(hard, stored, fact{dispatch.Progress{State: dispatch.ContactRinging, At: moment(), Run: c.ln.cfg.Run}, dispatch.System})
	}
	c.stored <- stored
	for f := range c.facts {
		c.tell(hard, stored, f)
	}
}

// finished: the call that has this key was ended by one of its sides, so that an
// INVITE with it is a late copy. One that we lost, or whose other branch was
// cancelled, may well come again.
func finished(stored dispatch.Contact) bool {
	return stored.State == dispatch.ContactEnded && !stored.CallbackDue && stored.EndReason != dispatch.EndCancelled
}

// open stores the contact. takeover: another run of ours had stored it.
func (c *call) open(hard context.Context) (stored dispatch.Contact, takeover, ok bool) {
	var duplicate bool
	ok = c.retry(hard, "contact not stored yet; the call is queued", func(ctx context.Context) (err error) {
		stored, duplicate, err = c.ln.cfg.Intake.OpenContact(ctx, c.contact)
		return err
	})
	// A first attempt may have committed although we saw it fail: then the stored
	// contact is this very one.
	return stored, duplicate && stored.ID != c.contact.ID, ok
}

func (c *call) tell(hard context.Context, stored dispatch.Contact, f fact) {
	f.progress.ID, f.progress.Incident = stored.ID, stored.Incident
	c.retry(hard, "a call's progress is not stored yet", func(ctx context.Context) error {
		err := c.ln.cfg.Intake.Progress(ctx, f.progress, f.by)
		if hopeless(err) {
			c.log.Error("a call's progress was refused", zap.String("state", string(f.progress.State)), zap.Error(err))
			return nil
		}
		return err
	})
}

// hopeless: the house understood and will say the same again.
func hopeless(err error) bool {
	var transition *dispatch.TransitionError
	var field *dispatch.FieldError
	return errors.Is(err, dispatch.ErrNotFound) || errors.As(err, &transition) || errors.As(err, &field)
}

// retry does it until it is done or the process ends, with a growing pause.
func (c *call) retry(hard context.Context, what string, do func(context.Context) error) bool {
	pause := firstPause
	for tries := 1; ; tries++ {
		ctx, cancel := context.WithTimeout(hard, storeTime)
		err := do(ctx)
		cancel()
		if err == nil || errors.Is(err, dispatch.ErrUnchanged) {
			return true
		}
		if hard.Err() != nil {
			c.ln.met.unstored.Inc()
			c.log.Error("given up at the end of the process: "+what, zap.Int("tries", tries), zap.Error(err))
			return false
		}
		c.ln.met.storeRetries.Inc()
		if tries == 1 { // the same trouble is told once
			c.log.Warn(what, zap.Error(err))
			select {
			case c.slow <- struct{}{}:
			default:
			}
		}
		wait := time.NewTimer(pause/2 + rand.N(pause/2))
		select {
		case <-wait.C:
		case <-hard.Done():
			wait.Stop()
		}
		pause = min(2*pause, lastPause)
	}
}
