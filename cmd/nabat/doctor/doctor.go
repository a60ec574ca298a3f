// Package doctor looks at a machine and its data the way an administrator
// would, and explains each finding in a sentence, in Russian or English.
//
// Checks only look: nothing is repaired, and nothing that runs is disturbed. A
// fault is what keeps calls or alarms from being taken or kept; what will
// become one, or weakens a promise, is a warning.
package doctor

import (
	"context"
	"time"

	"nabat/cmd/nabat/config"
	"nabat/cmd/nabat/datadir"
	"nabat/dispatch/postgres/pgserver"
)

// Level says how bad a finding is.
type Level int

// Levels, from good to bad.
const (
	Fine Level = iota
	Warning
	Fault
)

// Finding is one sentence about one thing.
type Finding struct {
	About  string // "postgres", "port 5060/udp"
	Level  Level
	RU, EN string
}

// Brokers asks a Kafka cluster whether it is there and fit. Each warning is a
// sentence.
type Brokers interface {
	Check(ctx context.Context) (ru, en []string, err error)
}

// Patient is what is examined.
type Patient struct {
	Config config.Config
	// Running is the engine on the data directory; nil if there is none.
	Running *datadir.Run
	// Postgres is the database's URL; empty if there is no database yet.
	Postgres string
	// PostgresErr says why the database could not be opened.
	PostgresErr error
	// Brokers is nil when there is no broker yet: the embedded one is not running.
	Brokers Brokers
	Now     func() time.Time
}

// each check may take this long; a broker that is down must not hold the rest.
const limit = 10 * time.Second

// Examine makes every check, in the order in which a person would fix things.
func Examine(ctx context.Context, p Patient) []Finding {
	if p.Now == nil {
		p.Now = time.Now
	}
	var all []Finding
	for _, check := range []func(context.Context, Patient) []Finding{
		files, disk, clock, ports, postgres, brokers, certificate,
	} {
		ctx, cancel := context.WithTimeout(ctx, limit)
		all = append(all, check(ctx, p)...)
		cancel()
	}
	return all
}

// Worst is the level of the worst finding.
func Worst(all []Finding) Level {
	worst := Fine
	for _, f := range all {
		worst = max(worst, f.Level)
	}
	return worst
}

func one(f Finding) []Finding { return []Finding{f} }

// facts asks the database about itself.
func facts(ctx context.Context, url string) (pgserver.Facts, error) {
	return pgserver.Inspect(ctx, url)
}
