package console

import (
	"container/list"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Bounds of guessing passwords. A right password gives its attempt back, so a
// whole shift may log in from behind one address.
const (
	pairBurst  = 5 // one login from one peer
	pairRefill = 30 * time.Second
	// One login from everywhere, against many guessing machines. A peer that this
	// login came in from before is not held up by it: nobody can lock an operator
	// out of their own desk.
	loginBurst  = 20
	loginRefill = 15 * time.Second
	peerBurst   = 100 // one peer, whatever logins it tries
	peerRefill  = 2 * time.Second
	// maxTracked bounds each table; the longest unused entry goes first.
	maxTracked = 10_000
)

// buckets is a bounded table of token buckets.
type buckets struct {
	burst  float64
	refill time.Duration

	mu    sync.Mutex
	byKey map[string]*list.Element
	order *list.List // front: used last
}

type bucket struct {
	key    string
	tokens float64
	at     time.Time
}

func newBuckets(burst int, refill time.Duration) *buckets {
	return &buckets{burst: float64(burst), refill: refill, byKey: map[string]*list.Element{}, order: list.New()}
}

// take uses one attempt. When there is none it says how long to wait.
func (b *buckets) take(key string, now time.Time) (wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.touch(key, now)
	if k.tokens < 1 {
		return time.Duration((1 - k.tokens) * float64(b.refill))
	}
	k.tokens--
	return 0
}

// give returns an attempt that turned out to be right.
func (b *buckets) give(key string, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.touch(key, now)
	k.tokens = min(b.burst, k.tokens+1)
}

func (b *buckets) touch(key string, now time.Time) *bucket {
	if e, ok := b.byKey[key]; ok {
		b.order.MoveToFront(e)
		k := e.Value.(*bucket)
		if d := now.Sub(k.at); d > 0 {
			k.tokens = min(b.burst, k.tokens+float64(d)/float64(b.refill))
			k.at = now
		}
		return k
	}
	if b.order.Len() >= maxTracked {
		last := b.order.Back()
		delete(b.byKey, last.Value.(*bucket).key)
		b.order.Remove(last)
	}
	k := &bucket{key: key, tokens: b.burst, at: now}
	b.byKey[key] = b.order.PushFront(k)
	return k
}

// guesses limits attempts to log in.
type guesses struct {
	pairs, logins, peers *buckets
	// known remembers from where a login came in, as buckets that are never empty.
	known *buckets
}

func newGuesses() *guesses {
	return &guesses{
		pairs: newBuckets(pairBurst, pairRefill), logins: newBuckets(loginBurst, loginRefill),
		peers: newBuckets(peerBurst, peerRefill), known: newBuckets(1, time.Second),
	}
}

// try counts an attempt and says how long to wait if it is one too many.
func (g *guesses) try(login, peer string, now time.Time) time.Duration {
	if wait := g.peers.take(peer, now); wait > 0 {
		return wait
	}
	pair := login + "\x00" + peer
	if wait := g.pairs.take(pair, now); wait > 0 {
		return wait
	}
	if g.known.has(pair) {
		return 0
	}
	return g.logins.take(login, now)
}

// right gives the attempt back.
func (g *guesses) right(login, peer string, now time.Time) {
	pair := login + "\x00" + peer
	g.peers.give(peer, now)
	g.pairs.give(pair, now)
	if !g.known.has(pair) {
		g.logins.give(login, now)
	}
	g.known.give(pair, now)
}

func (b *buckets) has(key string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, ok := b.byKey[key]
	return ok
}

// peerOf is what attempts are counted by: the address without its port, and of
// an IPv6 address its /64, because a whole one belongs to one customer.
func peerOf(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return remote
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	a = a.Unmap().WithZone("")
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.String()
}
