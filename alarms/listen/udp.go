package listen

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"net"
	"sync"
	"time"

	"go.uber.org/zap"

	"nabat/alarms/dc09"
)

// datagram is one waiting for its worker.
type datagram struct {
	from   net.Addr
	came   way
	octets []byte
}

// UDP serves conn until ctx ends, then lets the workers finish and returns once
// they are gone. Replies go to the source of the frame, from the address to which
// it was sent.
func (s *Server) UDP(ctx context.Context, conn net.PacketConn) error {
	pc, err := newSocket(conn)
	if err != nil {
		s.log.Warn("answers to datagrams leave from whatever address the kernel chooses", zap.Error(err))
	}
	var workers sync.WaitGroup
	queues := make([]chan datagram, s.opts.Workers)
	defer workers.Wait()
	defer func() {
		for _, q := range queues {
			close(q)
		}
	}()
	for i := range queues {
		queues[i] = make(chan datagram, s.opts.Backlog)
		workers.Go(func() { s.work(ctx, pc, queues[i]) })
	}
	defer context.AfterFunc(ctx, func() {
		// Wakes the reader; the conn stays open for the replies under way.
		pc.SetReadDeadline(time.Unix(1, 0)) //nolint:errcheck // a conn that is gone ends the reader too
	})()

	seed := maphash.MakeSeed()
	buf := make([]byte, 64*1024)
	for {
		n, from, came, err := pc.read(buf)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("read datagrams: %w", err)
		case err != nil:
			// Such as an ICMP error of a peer that went away: none of ours.
			s.log.Debug("read datagram", zap.Error(err))
			if !sleep(ctx, time.Millisecond) {
				return nil
			}
			continue
		case n > 2*dc09.MaxFrame:
			s.refuse(dc09.ErrJunk, n, from.String())
			continue
		}
		d := datagram{from: from, came: came, octets: append([]byte(nil), buf[:n]...)}
		select {
		case queues[maphash.String(seed, from.String())%uint64(len(queues))] <- d:
		default:
			s.metrics.full.WithLabelValues("datagrams").Inc()
		}
	}
}

func (s *Server) work(ctx context.Context, pc *socket, in <-chan datagram) {
	var out []byte
	whole := context.WithoutCancel(ctx)
	for d := range in {
		if ctx.Err() != nil {
			continue // nothing new is taken any more; the panel repeats
		}
		out = s.datagram(whole, pc, d, out)
	}
}

// datagram takes the frames of one datagram, which ends where it ends. out is
// handed back for its room.
func (s *Server) datagram(ctx context.Context, pc *socket, d datagram, out []byte) []byte {
	peer := d.from.String()
	for rest, first := d.octets, true; ; first = false {
		f, n, err := dc09.Next(rest, true)
		rest = rest[n:]
		switch {
		case err == nil:
			s.udp.Inc()
			out, _ = s.answer(ctx, []dc09.Frame{f}, peer, out[:0])
			if len(out) == 0 {
				continue
			}
			if err := pc.SetWriteDeadline(time.Now().Add(s.opts.WriteTimeout)); err == nil {
				if err := pc.write(out, d.from, d.came); err != nil {
					s.log.Debug("reply not sent", zap.String("peer", peer), zap.Error(err))
				}
			}
		case errors.Is(err, dc09.ErrShort):
			return out
		default:
			s.refuse(err, n, peer)
			if name := dc09.Foreign(d.octets); first && name != "" {
				s.metrics.foreign.WithLabelValues(name).Inc()
				return out
			}
		}
	}
}
