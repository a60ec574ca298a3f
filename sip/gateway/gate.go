package gateway

import (
	"context"
	"sync"
)

// gate counts who is inside and can be shut. A WaitGroup alone would race: sipgo
// starts handlers whenever packets come.
type gate struct {
	mu     sync.Mutex
	inside int           // guarded by mu, as the rest
	shut   bool          // nobody enters any more
	empty  chan struct{} // set while somebody waits
}

func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut {
		return false
	}
	g.inside++
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if g.inside == 0 && g.empty != nil {
		close(g.empty)
		g.empty = nil
	}
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = true
}

// wait returns when nobody is inside or ctx ends.
func (g *gate) wait(ctx context.Context) {
	g.mu.Lock()
	if g.inside == 0 {
		g.mu.Unlock()
		return
	}
	if g.empty == nil {
		g.empty = make(chan struct{})
	}
	empty := g.empty
	g.mu.Unlock()
	select {
	case <-empty:
	case <-ctx.Done():
	}
}
