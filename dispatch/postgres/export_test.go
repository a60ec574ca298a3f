package postgres

import "context"

// Beat is one heartbeat, for tests that stand in for time.
func (r *Runs) Beat(ctx context.Context) error { return r.beat(ctx, r.pool) }
