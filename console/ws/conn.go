package ws

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/zap"

	"nabat/console"
	"nabat/dispatch"
)

// conn is one console's connection.
type conn struct {
	server *Server
	person console.Person
	out    chan []byte // bounded; only write reads it, and only write writes the socket
	quit   chan ending // capacity 1: the first reason wins
	// commands wait here; watch says that wanted is not empty.
	commands chan console.Command
	watch    chan struct{} // capacity 1
	readDone chan struct{} // closed when nothing more is read

	mu     sync.Mutex
	socket *websocket.Conn                  // nil before the handshake is done
	wanted map[dispatch.IncidentID]struct{} // cards asked for and not read yet; at most maxWanted
}

type ending struct {
	code int
	text string
	// drain: what waits is still sent first.
	drain bool
}

var endings = map[console.End]ending{
	console.EndSession:  {CloseSession, "session ended", true},
	console.EndSlow:     {CloseSlow, "slow", false},
	console.EndShutdown: {websocket.CloseGoingAway, "server stops", true},
}

func newConn(s *Server, p console.Person) *conn {
	return &conn{
		server: s, person: p, out: make(chan []byte, outQueue), quit: make(chan ending, 1),
		commands: make(chan console.Command, workQueue), watch: make(chan struct{}, 1),
		readDone: make(chan struct{}), wanted: map[dispatch.IncidentID]struct{}{},
	}
}

// Send never blocks. A console that falls behind is ended.
func (c *conn) Send(frame []byte) {
	select {
	case c.out <- frame:
	default:
		c.End(console.EndSlow)
	}
}

// End never blocks.
func (c *conn) End(why console.End) { c.finish(endings[why]) }

func (c *conn) finish(e ending) {
	select {
	case c.quit <- e:
	default:
		return // it ends already
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.socket != nil {
		// A write that hangs in a full socket must not hold up the end.
		_ = c.socket.NetConn().SetWriteDeadline(time.Now().Add(closeWait)) // a dead socket ends too
	}
}

func (c *conn) serve(ctx context.Context, socket *websocket.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.mu.Lock()
	c.socket = socket
	c.mu.Unlock()
	seat := c.server.house.Hub().Join(c.person, c)
	defer seat.Leave()

	var both sync.WaitGroup
	both.Go(func() { c.write(socket) })
	both.Go(func() { c.labour(ctx, seat) })
	if e, ok := c.read(socket, seat); ok {
		c.finish(e)
	} else {
		c.finish(ending{}) // the other side has gone: nothing to say
	}
	close(c.readDone)
	cancel()
	both.Wait()
}

// write is the only writer of the socket.
func (c *conn) write(socket *websocket.Conn) {
	defer socket.Close()
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	for {
		select {
		case e := <-c.quit:
			c.bye(socket, e)
			return
		default:
		}
		select {
		case e := <-c.quit:
			c.bye(socket, e)
			return
		case frame := <-c.out:
			if err := c.put(socket, frame); err != nil {
				c.broken(socket, err)
				return
			}
		case <-ping.C:
			if err := socket.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeWait)); err != nil {
				c.broken(socket, err)
				return
			}
		}
	}
}

// broken ends a connection that takes nothing more. gorilla says 1009 by itself,
// before its reader tells us: then the end is as the reader is about to say.
func (c *conn) broken(socket *websocket.Conn, err error) {
	if errors.Is(err, websocket.ErrCloseSent) {
		c.bye(socket, <-c.quit)
		return
	}
	c.finish(ending{})
}

func (c *conn) put(socket *websocket.Conn, frame []byte) error {
	if err := socket.SetWriteDeadline(time.Now().Add(writeWait)); err != nil {
		return err
	}
	return socket.WriteMessage(websocket.TextMessage, frame)
}

func (c *conn) bye(socket *websocket.Conn, e ending) {
	if e.code == 0 {
		return
	}
	deadline := time.Now().Add(closeWait)
	for e.drain {
		select {
		case frame := <-c.out:
			if socket.SetWriteDeadline(deadline) != nil || socket.WriteMessage(websocket.TextMessage, frame) != nil {
				return
			}
			continue
		default:
		}
		break
	}
	err := socket.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(e.code, e.text), deadline)
	if err != nil && !errors.Is(err, websocket.ErrCloseSent) { // 1009 gorilla sends by itself
		return
	}
	// Closing at once with unread input in our buffer would reset the connection
	// and take the close frame away again; the reader reads on meanwhile.
	if e.code == websocket.CloseMessageTooBig {
		deadline = deadline.Add(pourWait - closeWait)
	}
	t := time.NewTimer(time.Until(deadline))
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.readDone:
	}
}

// message is what a client may say.
type message struct {
	T string `json:"t"`
	console.Command
}

// read reads until the connection ends. It says how to end it if that is ours to
// say.
func (c *conn) read(socket *websocket.Conn, seat *console.Seat) (ending, bool) {
	socket.SetReadLimit(console.MaxCommand)
	alive := func() error { return socket.SetReadDeadline(time.Now().Add(pongWait)) }
	socket.SetPongHandler(func(string) error { return alive() })
	// Our writer answers a close frame by closing; gorilla would write by itself.
	socket.SetCloseHandler(func(int, string) error { return nil })
	allowance, since := float64(burst), time.Now()
	for {
		if alive() != nil {
			return ending{}, false
		}
		kind, data, err := socket.ReadMessage()
		if err != nil {
			var closed *websocket.CloseError
			switch {
			case errors.Is(err, websocket.ErrReadLimit):
				e := ending{websocket.CloseMessageTooBig, "message too big", false}
				c.finish(e)
				c.pourAway(socket)
				return e, true
			case errors.As(err, &closed):
				return ending{websocket.CloseNormalClosure, "", true}, true
			}
			return ending{}, false
		}
		now := time.Now()
		allowance = min(burst, allowance+now.Sub(since).Seconds()*perSecond) - 1
		since = now
		if allowance < 0 {
			return ending{websocket.ClosePolicyViolation, "too many messages", false}, true
		}
		if kind != websocket.TextMessage {
			return ending{websocket.CloseUnsupportedData, "text only", false}, true
		}
		if e, bad := c.take(data, seat); bad {
			return e, true
		}
	}
}

// pourAway reads what comes until the other side has closed or pourWait is over:
// unread input would turn our close frame into a reset, and the client, which
// would not learn that its message was too big, would send it again.
func (c *conn) pourAway(socket *websocket.Conn) {
	wire := socket.NetConn()
	if wire.SetReadDeadline(time.Now().Add(pourWait)) == nil {
		_, _ = io.Copy(io.Discard, wire) // its end is all that is wanted
	}
}

func (c *conn) take(data []byte, seat *console.Seat) (ending, bool) {
	var m message
	if err := json.Unmarshal(data, &m); err != nil {
		var field *json.UnmarshalTypeError
		if errors.As(err, &field) && m.T == "cmd" && m.ID != "" {
			// A command whose id can be read is answered: its sender would send it again.
			c.result(console.Result{ID: m.ID, Error: &console.Fault{
				Code: console.CodeInvalid, RU: "Команда составлена неверно", EN: "The command is wrong: " + field.Field,
			}})
			return ending{}, false
		}
		return ending{websocket.ClosePolicyViolation, "not a message", false}, true
	}
	switch m.T {
	case "resync":
		seat.Resync()
	case "watch", "unwatch":
		if id, err := dispatch.ParseIncidentID(m.Incident); err == nil {
			c.want(id, m.T == "watch", seat)
		}
	case "cmd":
		select {
		case c.commands <- m.Command:
		default:
			c.result(console.Result{ID: m.ID, Error: &console.Fault{
				Code: console.CodeBusy, RU: "Слишком много команд сразу. Повторите", EN: "Too many commands at once. Repeat",
			}})
		}
	default:
		return ending{websocket.ClosePolicyViolation, "unknown message", false}, true
	}
	return ending{}, false
}

// want notes that a card's journal is wanted, or no longer: whoever leafs
// through the board faster than the database reads is not kept waiting for cards that are closed again.
func (c *conn) want(id dispatch.IncidentID, yes bool, seat *console.Seat) {
	if !yes {
		c.mu.Lock()
		delete(c.wanted, id)
		c.mu.Unlock()
		seat.Unwatch(id) // never under c.mu: the hub calls End, which takes it
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.wanted) >= maxWanted {
		return // more than a console can show
	}
	c.wanted[id] = struct{}{}
	select {
	case c.watch <- struct{}{}:
	default:
	}
}

// next takes a card that is still wanted.
func (c *conn) next() (dispatch.IncidentID, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id := range c.wanted {
		delete(c.wanted, id)
		return id, true
	}
	return dispatch.IncidentID{}, false
}

// labour carries out commands, in their order, and reads journals, apart from
// reading the socket, so that a slow database does not keep pongs unread. What
// was not carried out when the client goes is sent again by the client.
func (c *conn) labour(ctx context.Context, seat *console.Seat) {
	for {
		select {
		case <-ctx.Done():
			return
		case cmd := <-c.commands:
			res, ended := c.do(ctx, cmd)
			c.result(res)
			if ended {
				c.End(console.EndSession)
			}
		case <-c.watch:
			for id, ok := c.next(); ok && ctx.Err() == nil; id, ok = c.next() {
				c.open(ctx, seat, id)
			}
		}
	}
}

// do contains a panic of one command to its own connection.
func (c *conn) do(ctx context.Context, cmd console.Command) (res console.Result, ended bool) {
	defer func() {
		if r := recover(); r != nil {
			c.server.log.Error("a command panicked", zap.Any("panic", r), zap.Stack("stack"))
			res = console.Result{ID: cmd.ID, Error: &console.Fault{
				Code: console.CodeInternal, RU: "Внутренняя ошибка", EN: "Internal error",
			}}
		}
	}()
	return c.server.house.Do(ctx, c.person, cmd)
}

func (c *conn) open(ctx context.Context, seat *console.Seat, id dispatch.IncidentID) {
	err := seat.Watch(ctx, id)
	if err != nil && ctx.Err() == nil && !errors.Is(err, dispatch.ErrNotFound) {
		c.server.log.Warn("read a card's journal", zap.Stringer("incident", id), zap.Error(err))
	}
}

type resultFrame struct {
	T string `json:"t"`
	console.Result
}

func (c *conn) result(r console.Result) {
	frame, err := json.Marshal(resultFrame{"result", r})
	if err != nil {
		c.server.log.Error("encode result", zap.Error(err))
		return
	}
	c.Send(frame)
}
