package main

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"nabat/cmd/nabat/config"
	"nabat/cmd/nabat/datadir"
	"nabat/cmd/nabat/doctor"
	"nabat/dispatch/postgres/pgserver"
	"nabat/routing"
	"nabat/routing/kafka"
)

type doctorCmd struct {
	config.Config
}

// Run examines and explains; it fails if a fault was found.
func (c doctorCmd) Run(ctx context.Context, t terminal) (err error) {
	p := doctor.Patient{Config: c.Config}
	switch run, err := datadir.Running(c.Data); {
	case err == nil:
		p.Running = &run
	case !errors.Is(err, datadir.ErrNotRunning):
		return err
	}
	there, err := c.hasDatabase()
	switch {
	case err != nil:
		p.PostgresErr = err
	case there:
		var closeDB func() error
		var a addresses
		a, closeDB, p.PostgresErr = openDatabase(ctx, c.Base, zap.NewNop())
		p.Postgres = a.engine
		if p.PostgresErr == nil {
			defer func() { err = errors.Join(err, closeDB()) }()
		}
	}
	if addrs := c.brokers(p.Running); len(addrs) > 0 {
		cluster, err := kafka.New(kafka.Options{Brokers: addrs, Log: zap.NewNop()})
		if err != nil {
			return err
		}
		p.Brokers = clusterCheck{cluster}
	}
	all := doctor.Examine(ctx, p)
	t.show(all)
	if doctor.Worst(all) == doctor.Fault {
		return errSaid
	}
	return nil
}

// hasDatabase says whether there is one to look at; doctor makes none.
func (c doctorCmd) hasDatabase() (bool, error) {
	if c.Postgres.URL != "" {
		return true, nil
	}
	return pgserver.Exists(c.Data)
}

func (c doctorCmd) brokers(run *datadir.Run) []string {
	var addrs []string
	for _, b := range c.Kafka.Brokers {
		addrs = append(addrs, string(b))
	}
	if len(addrs) == 0 && run != nil {
		addrs = run.Kafka
	}
	return addrs
}

// clusterCheck lets doctor ask package kafka without knowing it.
type clusterCheck struct{ cluster *kafka.Cluster }

func (c clusterCheck) Check(ctx context.Context) (ru, en []string, err error) {
	warnings, err := c.cluster.Check(ctx, routing.DefaultVocabulary().Services)
	for _, w := range warnings {
		ru, en = append(ru, w.RU), append(en, w.EN)
	}
	return ru, en, err
}

// show prints one line for each finding and a last one that counts them.
func (t terminal) show(all []doctor.Finding) {
	marks := map[doctor.Level]string{doctor.Fine: "ok  ", doctor.Warning: "!   ", doctor.Fault: "FAIL"}
	var warnings, faults int
	for _, f := range all {
		fmt.Fprintf(t.out, "%s  %-16s %s\n", marks[f.Level], f.About, t.say(f.RU, f.EN))
		switch f.Level {
		case doctor.Warning:
			warnings++
		case doctor.Fault:
			faults++
		case doctor.Fine:
		}
	}
	fmt.Fprintf(t.out, t.say("\nНеисправностей: %d, предупреждений: %d.\n", "\nFaults: %d, warnings: %d.\n"), faults, warnings)
}
