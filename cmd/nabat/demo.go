package main

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"nabat/cmd/nabat/config"
	"nabat/cmd/nabat/demo"
	"nabat/cmd/nabat/lifecycle"
	"nabat/cmd/nabat/node"
)

type demoCmd struct {
	config.Config
	Speed float64 `default:"1" env:"NABAT_DEMO_SPEED" placeholder:"N" help:"${flag_speed}"`
}

// Validate checks the city's speed; kong asks the embedded configuration itself.
func (c demoCmd) Validate() error {
	if !(c.Speed > 0) || math.IsInf(c.Speed, 0) { // NaN is not above zero either
		return config.MistakesError{{Flags: []string{"speed"}, Reason: fmt.Sprintf("a city cannot live %v times as fast; it takes a number above zero", c.Speed)}}
	}
	return nil
}

// Run serves a made-up city until a signal.
func (c demoCmd) Run(ctx context.Context, t terminal) error {
	log, err := logger(c.Log, t.err)
	if err != nil {
		return err
	}
	defer log.Sync() //nolint:errcheck // a terminal cannot be flushed
	fmt.Fprintln(t.out, t.say(
		"Готовим демо-город: 6 406 объектов и сутки придуманного прошлого…",
		"Preparing the demo city: 6,406 facilities and a day of made-up past…"))
	var access demo.Access
	return node.Run(ctx, c.Config, log, node.Hooks{
		Prepare: func(ctx context.Context, i node.Info) error {
			var err error
			access, err = demo.Prepare(ctx, i.Postgres, i.Migrate, i.Data, log, time.Now())
			return err
		},
		Stages: func(i node.Info) []lifecycle.Stage {
			return []lifecycle.Stage{{Name: "demo city", Limit: 10 * time.Second, Run: func(ctx context.Context) error {
				return demo.Live(ctx, demo.Town{
					Alarms: i.Listen["alarms_tcp"], AlarmsUDP: i.Listen["alarms_udp"], SIP: i.Listen["sip_udp"], Console: i.Console, Brokers: i.Brokers,
					Speed: c.Speed,
				}, access, log)
			}}}
		},
		Ready: func(i node.Info) {
			access.Console = i.Console
			if err := access.Write(i.Data); err != nil {
				log.Error("cannot write the demo's logins", zap.Error(err))
			}
			sayWhere(t, i)
			sayAccess(t, i, access)
		},
	})
}

// sayAccess tells a newcomer how to come in and what to try.
func sayAccess(t terminal, i node.Info, a demo.Access) {
	fmt.Fprintln(t.out, t.say("Вход (роль, имя, пароль):", "Logins (role, name, password):"))
	for _, u := range a.Users {
		if !u.Simulated {
			fmt.Fprintf(t.out, "  %-14s %-10s %s\n", u.Role, u.Login, u.Password)
		}
	}
	fmt.Fprintf(t.out, t.say("  всё это и жетон аудитора: %s\n", "  all of it and an auditor's token: %s\n"), filepath.Join(i.Data, demo.AccessFile))
	fmt.Fprintln(t.out, t.say("Попробуйте:", "Try:"))
	fmt.Fprintf(t.out, t.say("  пожар:  %s\n", "  a fire: %s\n"), demo.AlarmCommand(i.Listen["alarms_tcp"]))
	fmt.Fprintln(t.out, t.say("          (второй раз в течение минуты это повтор: он отвечен и записан, новой карточки нет)", "          (again within a minute it is a repeat: answered and stored, no new card)"))
	fmt.Fprintf(t.out, t.say("  SMS:    %s\n", "  an SMS: %s\n"), demo.SMSCommand(i.Listen["sip_udp"]))
}
