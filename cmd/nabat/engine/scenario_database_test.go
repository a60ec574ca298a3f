package engine_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// doorway stands between the engine and its database, outside the bubble, and
// knows enough of PostgreSQL's protocol to see a COMMIT go by.
type doorway struct {
	url string // of the database, through here
	to  string
	ln  net.Listener
	wg  sync.WaitGroup

	mu     sync.Mutex
	away   bool              // nobody is let through
	trap   trap              // for the next COMMIT
	sprung int               // how many traps were
	open   map[net.Conn]bool // both sides
}

type trap int

const (
	none trap = iota
	// beforeCommit: the COMMIT never arrives, and the database is away from then on.
	beforeCommit
	// afterCommit: it arrives and is done, and its answer is lost.
	afterCommit
)

// newDoorway must be called outside the bubble, where a goroutine may wait on a
// real socket.
func newDoorway(t *testing.T, database string) *doorway {
	u, err := url.Parse(database)
	require.NoError(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	d := &doorway{to: u.Host, ln: ln, open: map[net.Conn]bool{}}
	u.Host = ln.Addr().String()
	d.url = u.String()
	d.wg.Go(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			d.wg.Go(func() { d.serve(client) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		d.cut(true)
		d.wg.Wait()
	})
	return d
}

// cut takes the database away, or gives it back.
func (d *doorway) cut(away bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.close(away)
}

func (d *doorway) close(away bool) {
	d.away = away
	if !away {
		return
	}
	for c := range d.open {
		c.Close()
	}
	clear(d.open)
}

// set lays a trap for the next COMMIT.
func (d *doorway) set(t trap) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.trap = t
}

// caught is how many traps have sprung.
func (d *doorway) caught() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sprung
}

// committing springs the trap that is laid.
func (d *doorway) committing() trap {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.trap
	d.trap = none
	if t != none {
		d.sprung++
	}
	if t == beforeCommit {
		d.close(true)
	}
	return t
}

func (d *doorway) enter(client, server net.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.away {
		return false
	}
	d.open[client], d.open[server] = true, true
	return true
}

func (d *doorway) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", d.to)
	if err != nil {
		return
	}
	defer server.Close()
	if !d.enter(client, server) {
		return
	}
	deaf := make(chan struct{}) // closed when the answer to a COMMIT is to be lost
	var back sync.WaitGroup
	back.Go(func() {
		defer client.Close()
		buf := make([]byte, 32<<10)
		for {
			n, err := server.Read(buf)
			if err != nil {
				return
			}
			select {
			case <-deaf:
				if bytes.Contains(buf[:n], []byte("COMMIT\x00")) {
					return
				}
				continue
			default:
			}
			if _, err := client.Write(buf[:n]); err != nil {
				return
			}
		}
	})
	d.watch(client, server, deaf)
	server.Close()
	back.Wait()
	d.mu.Lock()
	delete(d.open, client)
	delete(d.open, server)
	d.mu.Unlock()
}

// watch passes the client's messages on. The first ones have no type; statements
// have the names that Parse gave them (PostgreSQL 15, 55.2 and 55.7).
func (d *doorway) watch(client io.Reader, server io.Writer, deaf chan<- struct{}) {
	in, out := bufio.NewReader(client), bufio.NewWriter(server)
	statements := map[string]string{}
	for started := false; ; {
		head := make([]byte, 4, 5)
		if started {
			head = head[:5]
		}
		if _, err := io.ReadFull(in, head); err != nil {
			return
		}
		body := make([]byte, max(0, int(binary.BigEndian.Uint32(head[len(head)-4:]))-4))
		if _, err := io.ReadFull(in, body); err != nil {
			return
		}
		switch {
		case !started:
			const tls = 80877103
			started = len(body) < 4 || binary.BigEndian.Uint32(body) != tls
		case head[0] == 'P':
			f := bytes.SplitN(body, []byte{0}, 3)
			statements[string(f[0])] = string(f[1])
		case head[0] == 'B':
			if f := bytes.SplitN(body, []byte{0}, 3); statements[string(f[1])] == "COMMIT" {
				switch d.committing() {
				case beforeCommit:
					return
				case afterCommit:
					close(deaf)
				}
			}
		}
		out.Write(head)
		out.Write(body)
		if in.Buffered() == 0 && out.Flush() != nil {
			return
		}
	}
}
