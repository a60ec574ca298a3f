package listen

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"

	"nabat/alarms/dc09"
)

const (
	// firstBuffer is enough for nearly every frame; it grows up to dc09.MaxFrame.
	firstBuffer = 256
	// acceptPause is the longest wait after Accept failed for want of resources.
	acceptPause = time.Second
)

// TCP serves ln until ctx ends, then stops accepting, unblocks every connection
// and returns once all of them are gone. A frame that is being stored at that
// moment is still answered; nothing is read after it.
func (s *Server) TCP(ctx context.Context, ln net.Listener) error {
	var conns sync.WaitGroup
	defer conns.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // runs before Wait: an Accept error ends the connections too
	defer context.AfterFunc(ctx, func() { ln.Close() })()

	places := newPlaces(s.opts.MaxConns, s.opts.PerSource)
	for pause := time.Duration(0); ; {
		conn, err := ln.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				conn.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept panels: %w", err)
		case err != nil:
			// Out of files, or a peer that gave up in the queue: neither may end
			// the receiver.
			s.metrics.full.WithLabelValues("accept").Inc()
			if pause == 0 { // once for the whole burst
				s.log.Warn("accept failed, trying again", zap.Error(err))
			}
			pause = min(max(2*pause, 10*time.Millisecond), acceptPause)
			if !sleep(ctx, pause) {
				return nil
			}
			continue
		}
		pause = 0
		now := time.Now()
		mine, out, full := places.take(conn, now)
		if mine == nil {
			s.metrics.full.WithLabelValues(full).Inc()
			s.bad.Warn("panel connection turned away", zap.Stringer("peer", conn.RemoteAddr()), zap.String("bound", full))
			conn.Close()
			continue
		}
		if out != nil {
			s.metrics.dropped.WithLabelValues("evicted_" + out.standing.String()).Inc()
			s.bad.Warn("idle panel connection closed for another", zap.Stringer("peer", out.conn.RemoteAddr()), zap.Stringer("standing", out.standing))
			out.conn.Close()
		}
		s.metrics.conns.Inc()
		conns.Go(func() {
			defer func() {
				s.metrics.conns.Dec()
				places.leave(mine)
			}()
			s.serve(ctx, places, mine)
		})
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *Server) serve(ctx context.Context, places *places, mine *place) {
	conn := mine.conn
	defer conn.Close()
	defer context.AfterFunc(ctx, func() {
		conn.SetReadDeadline(time.Unix(1, 0)) //nolint:errcheck // a conn that is gone has no reader to wake
	})()
	st := stream{
		s: s, conn: conn, places: places, mine: mine, since: time.Now(),
		peer: conn.RemoteAddr().String(), buf: make([]byte, 0, firstBuffer),
	}
	err := st.run(ctx)
	switch {
	case err == nil || ctx.Err() != nil || quiet(err):
	case errors.Is(err, errNoFrame):
		s.metrics.dropped.WithLabelValues("no_frame").Inc()
		s.bad.Warn("panel connection closed", zap.Stringer("peer", conn.RemoteAddr()), zap.Error(err))
	default:
		s.log.Info("panel connection ended", zap.String("peer", st.peer), zap.Error(err))
	}
}

// quiet tells the ends of a connection that nobody asks about.
func quiet(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) ||
		errors.Is(err, os.ErrDeadlineExceeded)
}

var (
	errJunk    = errors.New("a frame's worth of octets that are no frame")
	errNoFrame = errors.New("no frame in the time for the first one")
)

// stream is one connection.
type stream struct {
	s      *Server
	conn   net.Conn
	places *places
	mine   *place
	since  time.Time
	peer   string
	buf    []byte       // what was read and not used
	fs     []dc09.Frame // whole frames in buf that wait to be answered
	out    []byte       // the replies; kept for their room
	got    int          // octets of the last read
	full   bool         // it filled the buffer
	junk   int          // octets since the last frame that belonged to none
	any    bool         // a frame has come
	half   time.Time    // when the frame that is in the buffer began; zero: none
}

func (st *stream) run(ctx context.Context) error {
	stalled := false
	whole := context.WithoutCancel(ctx)
	for {
		if err := st.frames(whole, stalled); err != nil {
			return err
		}
		var err error
		if stalled, err = st.read(ctx); err != nil {
			// What a one-shot panel left before it closed is still a frame.
			if errors.Is(err, io.EOF) && len(st.buf) > 0 {
				return errors.Join(st.frames(whole, true), err)
			}
			return err
		}
	}
}

// frames takes every frame that the buffer holds: those that a sender did not
// wait between are answered together.
func (st *stream) frames(ctx context.Context, stalled bool) error {
	rest := st.buf
	for {
		f, n, err := dc09.Next(rest, stalled)
		rest = rest[n:]
		switch {
		case err == nil:
			st.any, st.junk = true, 0
			if st.fs = append(st.fs, f); len(st.fs) >= st.s.opts.Together {
				if err := st.answer(ctx); err != nil {
					return err
				}
			}
		case errors.Is(err, dc09.ErrShort):
			if err := st.answer(ctx); err != nil {
				return err
			}
			st.keep(rest)
			return nil
		default:
			st.s.refuse(err, n, st.peer)
			if name := st.foreign(); name != "" {
				st.s.metrics.foreign.WithLabelValues(name).Inc()
				return io.EOF
			}
			if st.junk += n; st.junk > dc09.MaxFrame {
				return errors.Join(st.answer(ctx), errJunk)
			}
		}
	}
}

// answer answers the frames that wait, in their order.
func (st *stream) answer(ctx context.Context) error {
	if len(st.fs) == 0 {
		return nil
	}
	if !st.places.begin(st.mine) {
		return net.ErrClosed // closed for another; the panel comes again
	}
	st.s.tcp.Add(float64(len(st.fs)))
	var shown standing
	st.out, shown = st.s.answer(ctx, st.fs, st.peer, st.out[:0])
	clear(st.fs)
	if st.fs = st.fs[:0]; cap(st.fs) > 4 {
		st.fs = nil
	}
	err := st.reply()
	st.places.end(st.mine, shown, time.Now())
	return err
}

// foreign recognises another protocol by the first octets of a connection.
func (st *stream) foreign() string {
	if st.any || st.junk > 0 {
		return ""
	}
	return dc09.Foreign(st.buf)
}

func (st *stream) reply() error {
	if len(st.out) == 0 {
		return nil
	}
	if err := st.conn.SetWriteDeadline(time.Now().Add(st.s.opts.WriteTimeout)); err != nil {
		return err
	}
	_, err := st.conn.Write(st.out)
	return err
}

// keep moves what is left to the front. A connection whose reads are short gives
// back a buffer that a long frame or a burst made large.
func (st *stream) keep(rest []byte) {
	switch {
	case len(rest) > 0:
		st.buf = st.buf[:copy(st.buf, rest)]
		if st.half.IsZero() {
			st.half = time.Now()
		}
		return
	case cap(st.buf) > firstBuffer && st.got <= firstBuffer/2:
		st.buf, st.out = make([]byte, 0, firstBuffer), nil
	default:
		st.buf = st.buf[:0]
	}
	st.half = time.Time{}
}

// read waits for more octets. With a frame half read it waits for a short pause
// only; stalled tells that the frame is not going to grow, or has had its time.
func (st *stream) read(ctx context.Context) (stalled bool, err error) {
	// A read that filled the buffer left more behind: frames of a burst, which
	// should be answered together.
	if len(st.buf) == cap(st.buf) || st.full && cap(st.buf) < dc09.MaxFrame {
		grown := make([]byte, len(st.buf), min(max(4*cap(st.buf), firstBuffer), dc09.MaxFrame))
		copy(grown, st.buf)
		st.buf = grown
	}
	for {
		now := time.Now()
		deadline := now.Add(st.s.opts.Idle)
		first := st.since.Add(st.s.opts.FirstFrame)
		if !st.any {
			if !now.Before(first) {
				return false, errNoFrame
			}
			deadline = first
		}
		if !st.half.IsZero() {
			left := st.half.Add(st.s.opts.FrameTimeout).Sub(now)
			if left <= 0 {
				return st.expire(), nil
			}
			if st.ended() {
				left = min(left, st.s.opts.Pause)
			}
			if end := now.Add(left); end.Before(deadline) {
				deadline = end
			}
		}
		if err := st.conn.SetReadDeadline(deadline); err != nil {
			return false, fmt.Errorf("%w: %w", io.EOF, err) // only a connection that is gone refuses a deadline
		}
		// Looked at after the deadline is set: whoever ends ctx later sets another.
		if ctx.Err() != nil {
			return false, net.ErrClosed
		}
		n, err := st.conn.Read(st.buf[len(st.buf):cap(st.buf)])
		st.got, st.full = n, n > 0 && len(st.buf)+n == cap(st.buf)
		st.buf = st.buf[:len(st.buf)+n]
		switch {
		case n > 0:
			return false, nil
		case err == nil:
		case !st.any && ctx.Err() == nil && errors.Is(err, os.ErrDeadlineExceeded) && !time.Now().Before(first):
			return false, errNoFrame
		case st.half.IsZero() || ctx.Err() != nil || !errors.Is(err, os.ErrDeadlineExceeded):
			return false, err
		case st.ended():
			return st.expire(), nil
		}
	}
}

// ended tells that what is half read looks finished: its sender has closed it
// with CR, whatever its length field says.
func (st *stream) ended() bool {
	b := st.buf
	for len(b) > 0 && b[len(b)-1] == 0 {
		b = b[:len(b)-1]
	}
	return len(b) > 0 && b[len(b)-1] == '\r'
}

// expire starts the time of whatever follows in the buffer anew.
func (st *stream) expire() bool {
	st.half = time.Time{}
	return true
}
