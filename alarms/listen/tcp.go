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

	room := make(chan struct{}, s.opts.MaxConns)
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
		select {
		case room <- struct{}{}:
		default:
			s.metrics.full.WithLabelValues("connections").Inc()
			conn.Close()
			continue
		}
		s.metrics.conns.Inc()
		conns.Go(func() {
			defer func() {
				s.metrics.conns.Dec()
				<-room
			}()
			s.serve(ctx, conn)
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

func (s *Server) serve(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() {
		conn.SetReadDeadline(time.Unix(1, 0)) //nolint:errcheck // a conn that is gone has no reader to wake
	})()
	st := stream{s: s, conn: conn, peer: conn.RemoteAddr().String(), buf: make([]byte, 0, firstBuffer)}
	err := st.run(ctx)
	if err != nil && ctx.Err() == nil && !quiet(err) {
		s.log.Info("panel connection ended", zap.String("peer", st.peer), zap.Error(err))
	}
}

// quiet tells the ends of a connection that nobody asks about.
func quiet(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) ||
		errors.Is(err, os.ErrDeadlineExceeded)
}

var errJunk = errors.New("a frame's worth of octets that are no frame")

// stream is one connection.
type stream struct {
	s    *Server
	conn net.Conn
	peer string
	buf  []byte    // what was read and not used
	out  []byte    // the reply; kept for its room
	junk int       // octets since the last frame that belonged to none
	any  bool      // a frame has come
	half time.Time // when the frame that is in the buffer began; zero: none
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

// frames takes every frame that the buffer holds.
func (st *stream) frames(ctx context.Context, stalled bool) error {
	rest := st.buf
	for {
		f, n, err := dc09.Next(rest, stalled)
		rest = rest[n:]
		switch {
		case err == nil:
			st.any, st.junk = true, 0
			st.s.tcp.Inc()
			st.out = st.s.answer(ctx, f, st.peer, st.out[:0])
			if err := st.reply(); err != nil {
				return err
			}
		case errors.Is(err, dc09.ErrShort):
			st.keep(rest)
			return nil
		default:
			st.s.metrics.refused(err, n)
			if name := st.foreign(); name != "" {
				st.s.metrics.foreign.WithLabelValues(name).Inc()
				return io.EOF
			}
			if st.junk += n; st.junk > dc09.MaxFrame {
				return errJunk
			}
		}
	}
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

// keep moves what is left to the front. An idle connection gives back a buffer
// that one long frame made large.
func (st *stream) keep(rest []byte) {
	switch {
	case len(rest) > 0:
		st.buf = st.buf[:copy(st.buf, rest)]
		if st.half.IsZero() {
			st.half = time.Now()
		}
		return
	case cap(st.buf) > 4*firstBuffer:
		st.buf = make([]byte, 0, firstBuffer)
	default:
		st.buf = st.buf[:0]
	}
	st.half = time.Time{}
}

// read waits for more octets. With a frame half read it waits for a short pause
// only; stalled tells that the frame is not going to grow, or has had its time.
func (st *stream) read(ctx context.Context) (stalled bool, err error) {
	if len(st.buf) == cap(st.buf) {
		grown := make([]byte, len(st.buf), min(max(2*cap(st.buf), firstBuffer), dc09.MaxFrame))
		copy(grown, st.buf)
		st.buf = grown
	}
	for {
		now := time.Now()
		deadline := now.Add(st.s.opts.Idle)
		if !st.half.IsZero() {
			left := st.half.Add(st.s.opts.FrameTimeout).Sub(now)
			if left <= 0 {
				return st.expire(), nil
			}
			if st.ended() {
				left = min(left, st.s.opts.Pause)
			}
			deadline = now.Add(left)
		}
		if err := st.conn.SetReadDeadline(deadline); err != nil {
			return false, fmt.Errorf("%w: %w", io.EOF, err) // only a connection that is gone refuses a deadline
		}
		// Looked at after the deadline is set: whoever ends ctx later sets another.
		if ctx.Err() != nil {
			return false, net.ErrClosed
		}
		n, err := st.conn.Read(st.buf[len(st.buf):cap(st.buf)])
		st.buf = st.buf[:len(st.buf)+n]
		switch {
		case n > 0:
			return false, nil
		case err == nil:
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
