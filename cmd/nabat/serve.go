package main

import (
	"context"
	"fmt"

	"nabat/cmd/nabat/config"
	"nabat/cmd/nabat/node"
)

type serveCmd struct {
	config.Config
}

// Run serves until a signal.
func (c serveCmd) Run(ctx context.Context, t terminal) error {
	log, err := logger(c.Log, t.err)
	if err != nil {
		return err
	}
	defer log.Sync() //nolint:errcheck // a terminal cannot be flushed
	return node.Run(ctx, c.Config, log, node.Hooks{Ready: func(i node.Info) { sayWhere(t, i) }})
}

// sayWhere tells a person where everything is.
func sayWhere(t terminal, i node.Info) {
	line := func(ru, en, value string) {
		if value != "" {
			fmt.Fprintf(t.out, "  %-22s %s\n", t.say(ru, en), value)
		}
	}
	fmt.Fprintln(t.out, t.say("Набат работает:", "Nabat is up:"))
	line("консоль", "console", i.Console)
	line("SIP (UDP, TCP)", "SIP (UDP, TCP)", i.Listen["sip_udp"])
	line("приборы DC-09", "panels, DC-09", i.Listen["alarms_tcp"])
	line("состояние, метрики", "health, metrics", i.Listen["ops"])
	for _, b := range i.Brokers {
		line("Kafka", "Kafka", b)
	}
	line("данные", "data", i.Data)
	line("файлы PostgreSQL", "PostgreSQL's files", i.Database)
}
