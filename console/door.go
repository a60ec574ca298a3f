package console

import (
	"fmt"
	"net"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"nabat/dispatch"
)

// DefaultConnections bounds the console's connections where nothing else does.
const DefaultConnections = 4000

// Door is a listener that lets in so many connections and no more: whoever comes
// then is closed at once, before anything is read from them, so that a flood costs
// neither memory nor goroutines. One address that is not this machine's holds at
// most three quarters of the places, so that it never shuts everybody else out.
// Websockets count until they are closed. Connections that say nothing are given
// up by the timeouts of Serve.
type Door struct {
	net.Listener
	most, perPeer int
	log           *zap.Logger // dispatch.Seldom
	open          prometheus.Gauge
	refused       *prometheus.CounterVec

	mu     sync.Mutex
	inside int
	peers  map[string]int
}

// NewDoor bounds ln; most 0 is DefaultConnections. The name tells doors of one
// process apart in the log and the metrics, which r may take or, nil, leave private.
func NewDoor(ln net.Listener, name string, most int, r prometheus.Registerer, log *zap.Logger) (*Door, error) {
	if most <= 0 {
		most = DefaultConnections
	}
	if r == nil {
		r = prometheus.NewRegistry()
	}
	which := prometheus.Labels{"listener": name}
	d := &Door{
		Listener: ln, most: most, perPeer: max(1, most*3/4), peers: map[string]int{},
		log: dispatch.Seldom(log.Named("console.door").With(zap.String("listener", name))),
		open: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "nabat_http_connections", Help: "Open HTTP connections, websockets included.", ConstLabels: which,
		}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "nabat_http_refused_total", Help: "HTTP connections closed at once for want of a place.", ConstLabels: which,
		}, []string{"reason"}),
	}
	for _, c := range []prometheus.Collector{d.open, d.refused} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("metrics of the listener %s: %w", name, err)
		}
	}
	return d, nil
}

// Accept waits for the next connection that has a place.
func (d *Door) Accept() (net.Conn, error) {
	for {
		c, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		peer := peerOf(c.RemoteAddr().String())
		if why := d.enter(peer, c.RemoteAddr()); why != "" {
			d.turnAway(c, why)
			continue
		}
		return &visitConn{Conn: c, leave: sync.OnceFunc(func() { d.exit(peer) })}, nil
	}
}

// enter takes a place, or says why there is none.
func (d *Door) enter(peer string, a net.Addr) (why string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.inside >= d.most:
		return "full"
	case d.peers[peer] >= d.perPeer && NeedsTLS(a): // not of this machine
		return "peer"
	}
	d.inside++
	d.peers[peer]++
	d.open.Inc()
	return ""
}

func (d *Door) exit(peer string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inside--
	if d.peers[peer]--; d.peers[peer] == 0 {
		delete(d.peers, peer)
	}
	d.open.Dec()
}

func (d *Door) turnAway(c net.Conn, why string) {
	d.refused.WithLabelValues(why).Inc()
	d.log.Warn("connections are refused: every place is taken", zap.String("reason", why), zap.Int("places", d.most),
		zap.Stringer("peer", c.RemoteAddr()))
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // a flood must not leave us its closed sockets either
	}
	c.Close()
}

// visitConn gives its place back when it is closed.
type visitConn struct {
	net.Conn
	leave func()
}

func (c *visitConn) Close() error {
	err := c.Conn.Close()
	c.leave()
	return err
}
