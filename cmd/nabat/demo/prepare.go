package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
	"nabat/alarms"
	alarmsdb "nabat/alarms/postgres"
	"nabat/cmd/nabat/engine"
	consoledb "nabat/console/postgres"
	"nabat/dispatch"
	"nabat/dispatch/postgres"
	"nabat/migrations"
	"nabat/routing"
	routingdb "nabat/routing/postgres"
	"nabat/simulators/city"
)

// Prepare brings the database at url to where a demo begins; owner is the URL of
// the schema's owner, or empty if url's role is that. What an earlier start has
// done is left as it is.
func Prepare(ctx context.Context, url, owner, data string, log *zap.Logger, now time.Time) (a Access, err error) {
	log = log.Named("demo")
	if _, err := migrations.Run(ctx, cmp.Or(owner, url), url); err != nil {
		return a, err
	}
	pool, err := postgres.Open(ctx, url, postgres.PoolOptions{MaxConns: 8, Name: "nabat-demo"})
	if err != nil {
		return a, err
	}
	defer pool.Close()
	if a, err = grant(ctx, consoledb.New(pool, nil), data, now); err != nil {
		return a, err
	}
	writer := postgres.NewWriter(pool, log, postgres.WriterOptions{})
	wctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	written := make(chan error, 1)
	go func() { written <- writer.Run(wctx) }()
	defer func() { stop(); err = errors.Join(err, <-written) }()

	store := alarmsdb.NewStore(pool, writer)
	panels, err := store.Panels(ctx)
	if err != nil {
		return a, err
	}
	if len(panels) == 0 {
		began := time.Now()
		if err := store.Upsert(ctx, registry(city.Demo()), now); err != nil {
			return a, err
		}
		if panels, err = store.Panels(ctx); err != nil {
			return a, err
		}
		log.Info("demo city in the registry", zap.Int("panels", len(panels)), zap.Duration("took", time.Since(began)))
	}
	cards := postgres.NewStore(pool, writer)
	last, err := cards.LastSeq(ctx)
	if err != nil || last > 0 {
		return a, err
	}
	began := time.Now()
	rules := routingdb.NewStore(pool, cards)
	set, err := engine.Rules(ctx, rules)
	if err != nil {
		return a, err
	}
	// The day ends a few minutes ago: every story in it has ended.
	from := now.Add(-24*time.Hour - 5*time.Minute)
	for _, at := range []time.Time{from, now} {
		clock := func() time.Time { return at }
		if err := alarmsdb.NewPartitions(pool, clock, log, nil).Ensure(ctx); err != nil {
			return a, err
		}
	}
	p := past{
		store: cards, writer: writer, alarms: store, route: set, run: dispatch.NewRunID(),
		panels: make(map[string]alarms.Panel, len(panels)),
	}
	for _, panel := range panels {
		p.panels[panel.Account] = panel
	}
	if err := p.tell(ctx, city.History(city.DemoSeed, from)); err != nil {
		return a, fmt.Errorf("made-up past: %w", err)
	}
	if last, err = cards.LastSeq(ctx); err != nil {
		return a, err
	}
	for _, s := range routing.DefaultVocabulary().Services {
		if err := rules.Save(ctx, routing.IncidentsTopic(s), last); err != nil {
			return a, err
		}
	}
	if err := rules.Save(ctx, routing.JournalTopic, last); err != nil {
		return a, err
	}
	log.Info("a made-up day of the past is told", zap.Int64("journal", last), zap.Duration("took", time.Since(began)))
	return a, nil
}
