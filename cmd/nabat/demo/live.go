package demo

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"go.uber.org/zap"
	"nabat/dispatch/postgres/pgserver"
	"nabat/routing"
	"nabat/simulators/city"
	"nabat/simulators/day"
	"nabat/simulators/operator"
)

// Town says where the city's people find the engine.
type Town struct {
	Alarms, AlarmsUDP, SIP, Console string
	Brokers                         []string
	Speed                           float64
}

// Live lets the city live until ctx ends.
func Live(ctx context.Context, t Town, a Access, log *zap.Logger) error {
	o := day.Options{
		Alarms: t.Alarms, AlarmsUDP: t.AlarmsUDP, SIP: t.SIP, Console: t.Console, Brokers: t.Brokers,
		// Another day each time: the same one would alarm the same school first.
		Speed: t.Speed, Seed: uint64(time.Now().UnixNano()), Log: log.Named("city"), //nolint:gosec // any number will do
		FirstAlarm: func(account, facility string) {
			log.Info("the city's first fire alarm", zap.String("account", account), zap.String("facility", facility))
		},
	}
	for _, role := range []operator.Role{operator.CallTaker, operator.Supervisor} {
		for _, u := range a.Simulated(string(role)) {
			o.Staff = append(o.Staff, day.Staff{Login: u.Login, Password: u.Password, Role: role})
		}
	}
	for _, s := range routing.DefaultVocabulary().Services {
		o.Services = append(o.Services, string(s))
	}
	c, err := day.New(o)
	if err != nil {
		return fmt.Errorf("demo city: %w", err)
	}
	return c.Run(ctx)
}

// Write puts the logins where a newcomer finds them, mode 0600.
func (a Access) Write(data string) error {
	return pgserver.WritePrivate(filepath.Join(data, AccessFile), a)
}

// AlarmCommand is a ready command line that sends a fire alarm of a school.
func AlarmCommand(address string) string {
	for _, f := range city.Demo() {
		if f.Category == city.CategoryEducation && f.Has(city.ZoneFire) {
			return fmt.Sprintf("bin/nabatsim alarm --to %s --account %s --class fire", address, f.Panels[0].Account)
		}
	}
	return ""
}

// SMSCommand is a ready command line that sends a text message to 112.
func SMSCommand(address string) string {
	return fmt.Sprintf("bin/nabatsim sms --to %s --text 'Пожар, Невский проспект, дом 1'", address)
}
