package gateway

import (
	"strconv"
	"strings"
	"time"

	gosip "github.com/emiago/sipgo/sip"

	"nabat/sip"
)

// timers of one call; only its own goroutine touches them.
type timers struct {
	refresh, late, port, repeat, session, quiet, early *time.Timer
}

func (c *call) startTimers() {
	c.timers = timers{
		refresh: time.NewTimer(ringRefresh), late: time.NewTimer(c.ln.cfg.Slow),
		port: stopped(), repeat: stopped(), session: stopped(), quiet: stopped(), early: stopped(),
	}
}

func stopped() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

func (c *call) stopTimers() {
	for _, t := range []*time.Timer{c.timers.refresh, c.timers.late, c.timers.port, c.timers.repeat, c.timers.session, c.timers.quiet, c.timers.early} {
		t.Stop()
	}
}

// sessionHeaders grants the caller's session timer with the caller as the one
// who refreshes (RFC 4028 §9), and watches it. An interval below the floor of
// 90 s, or one that we would have to refresh, is not granted, which is no refusal.
func (c *call) sessionHeaders(r sip.Request) []gosip.Header {
	value := r.First("session-expires")
	number, params, _ := strings.Cut(value, ";")
	n, err := strconv.ParseUint(strings.TrimSpace(number), 10, 31)
	if err != nil || n < 90 || strings.Contains(strings.ToLower(params), "refresher=uas") ||
		!r.Has("supported", "timer") && !r.Has("require", "timer") {
		c.timers.session.Stop() // a session without an end (§7.2 of it)
		return nil
	}
	c.sessionEvery = time.Duration(n) * time.Second
	c.timers.session.Reset(c.sessionEvery)
	return []gosip.Header{
		gosip.NewHeader("Session-Expires", strconv.FormatUint(n, 10)+";refresher=uac"),
		gosip.NewHeader("Require", "timer"),
	}
}
