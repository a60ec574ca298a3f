package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"nabat/simulators/panel"
)

const (
	answerWithin = 4 * time.Second // a panel's patience with each sending
	againAfter   = 80 * time.Millisecond
)

// panels is one worker with some panels in turn: a panel has one signal in
// flight and sends it until it is acknowledged, whatever happens to the receiver.
type panels struct {
	o        *outside
	rng      *rand.Rand
	network  string
	stranger bool
	accounts []string
	count    []int  // events of each
	seq      []int  // frame numbers of each
	fire     []bool // an alarm of zone count-1 was acknowledged: its restore may follow
	link     panel.Link
	to       int // the life that link goes to
}

func newPanels(o *outside, seed uint64, i int, network string, stranger bool) *panels {
	p := &panels{o: o, rng: rand.New(rand.NewPCG(seed, uint64(i))), network: network, stranger: stranger, to: -1}
	for n := range accounts {
		p.accounts = append(p.accounts, account(i, n, stranger))
	}
	p.count, p.seq, p.fire = make([]int, accounts), make([]int, accounts), make([]bool, accounts)
	return p
}

// account is the number of a worker's n-th panel.
func account(worker, n int, stranger bool) string {
	prefix := "1"
	if stranger {
		prefix = "9"
	}
	return fmt.Sprintf("%s%02d%03d", prefix, worker, n)
}

// mix is what panels have to tell; more of it is urgent than in a real city.
var mix = []struct {
	share int
	e     panel.Event
	opens bool
}{
	{24, panel.Event{Kind: panel.Fire, Qualifier: panel.Began, Code: "110"}, true},
	{10, panel.Event{Kind: panel.Panic, Qualifier: panel.Began, Code: "120"}, true},
	{8, panel.Event{Kind: panel.Intrusion, Qualifier: panel.Began, Code: "130"}, true},
	{5, panel.Event{Kind: panel.Gas, Qualifier: panel.Began, Code: "151"}, true},
	{5, panel.Event{Kind: panel.Medical, Qualifier: panel.Began, Code: "100"}, true},
	{28, panel.Event{Kind: panel.Test, Qualifier: panel.Began, Code: "602"}, false},
	{20, panel.Event{Kind: panel.Power, Qualifier: panel.Began, Code: "301"}, false},
}

// work sends until ctx ends.
func (p *panels) work(ctx context.Context) {
	defer func() {
		if p.link != nil {
			p.link.Close()
		}
	}()
	for ctx.Err() == nil {
		if pace := time.Duration(p.o.pace.Load()); pace > 0 && !wait(ctx, pace/2+rand.N(pace)) {
			return
		}
		p.o.gate.RLock()
		p.one(ctx, p.rng.IntN(accounts))
		p.o.gate.RUnlock()
	}
}

// one tells the next event of the i-th panel and returns when it was
// acknowledged. No two events of a panel are the same, so whatever is stored
// twice was taken twice.
func (p *panels) one(ctx context.Context, i int) {
	e, opens := p.draw(i)
	protocol := panel.ContactID
	if i%3 == 0 {
		protocol = panel.SIA
	}
	p.seq[i] = p.seq[i]%9999 + 1
	f := e.Frame(protocol, p.accounts[i], p.seq[i])
	s := &signal{block: blockOf(f.Bytes()), opens: opens}
	p.o.ledger.note(func() { p.o.ledger.signals[s.block] = s })
	for n := -1; ; {
		l := p.o.living(ctx, n)
		if l == nil {
			return
		}
		p.o.ledger.note(func() { s.tries++ })
		if s.tries > 1 && i%4 == 1 { // some makers give a repeat a new number
			p.seq[i] = p.seq[i]%9999 + 1
			f.Seq = p.seq[i]
		}
		r, err := p.exchange(l, f)
		switch {
		case err == nil && r.Token == "ACK" && s.tries == 1 && p.o.unheard(p.rng):
			// What is stored and was not acknowledged is rare by itself, and it is
			// what a restart must not forget.
		case err == nil && r.Token == "ACK" && r.Account == p.accounts[i]:
			p.o.ledger.note(func() { s.acked, s.life = true, l.n })
			l.acknowledged()
			p.fire[i] = e.Kind == panel.Fire
			return
		case err == nil:
			p.o.t.Errorf("panel %s was answered %+v", p.accounts[i], r)
			return
		}
		if !wait(ctx, againAfter+rand.N(againAfter)) {
			return
		}
	}
}

func (p *panels) draw(i int) (panel.Event, bool) {
	if p.fire[i] && p.rng.IntN(3) == 0 {
		e := panel.Event{Kind: panel.Restore, Qualifier: panel.Restored, Code: "110"}
		p.place(&e, p.count[i]-1)
		return e, false
	}
	left := p.rng.IntN(100)
	for _, m := range mix {
		if left -= m.share; left < 0 {
			e := m.e
			p.place(&e, p.count[i])
			p.count[i]++
			// A gas detector of nobody's facility is noted like any other row.
			return e, m.opens && !p.stranger
		}
	}
	panic("the shares of the mix are not 100")
}

// place gives the n-th event of a panel an area and a zone of its own.
func (p *panels) place(e *panel.Event, n int) { e.Zone, e.Area = n%999+1, n/999%99+1 }

// blockOf is the data block of a frame: the same in every repeat, and in no
// other signal.
func blockOf(raw []byte) string {
	s := string(raw)
	return strings.TrimRight(s[strings.IndexByte(s, '['):], "\r")
}

func (p *panels) exchange(l *life, f panel.Frame) (panel.Reply, error) {
	if p.link == nil || p.to != l.n {
		if p.link != nil {
			p.link.Close()
		}
		p.to = l.n
		if p.network == "tcp" {
			p.link = panel.NewTCP(l.run.Listen["alarms_tcp"], p.rng.IntN(4) == 0)
		} else {
			p.link = &udp{addr: l.run.Listen["alarms_udp"]}
		}
	}
	return p.link.Exchange(l.ctx, f.Bytes(), f.Account, f.Seq, answerWithin)
}

// udp is a panel with a socket of its own.
type udp struct {
	addr string
	conn net.Conn
}

func (u *udp) Exchange(ctx context.Context, frame []byte, account string, seq int, within time.Duration) (panel.Reply, error) {
	if u.conn == nil {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "udp", u.addr)
		if err != nil {
			return panel.Reply{}, err
		}
		u.conn = conn
	}
	if err := u.conn.SetDeadline(time.Now().Add(within)); err != nil {
		return panel.Reply{}, err
	}
	defer context.AfterFunc(ctx, func() { u.conn.SetDeadline(time.Unix(1, 0)) })()
	if _, err := u.conn.Write(frame); err != nil {
		return panel.Reply{}, err
	}
	buf := make([]byte, 512)
	for {
		n, err := u.conn.Read(buf)
		if err != nil {
			return panel.Reply{}, err
		}
		r, err := panel.ParseReply(buf[:n])
		if err != nil {
			return r, err
		}
		if r.Token != "ACK" || (r.Account == account && r.Seq == seq) {
			return r, nil
		}
	}
}

func (u *udp) Close() error {
	if u.conn == nil {
		return nil
	}
	err := u.conn.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	u.conn = nil
	return err
}
