package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"nabat/dispatch/postgres/pgserver"
	"nabat/migrations"
)

type listener struct{ key, network, address string }

// wanted lists what the engine would bind.
func wanted(p Patient) []listener {
	c := p.Config
	all := []listener{
		{"sip.udp", "udp", c.Bind(c.SIP.UDP)}, {"sip.tcp", "tcp", c.Bind(c.SIP.TCP)},
		{"alarms.udp", "udp", c.Bind(c.Alarms.UDP)}, {"alarms.tcp", "tcp", c.Bind(c.Alarms.TCP)},
		{"console.address", "tcp", c.Bind(c.Console.Address)}, {"ops.address", "tcp", c.Bind(c.Ops.Address)},
	}
	local := func(port uint16) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))) }
	if c.Postgres.URL == "" {
		all = append(all, listener{"postgres.port", "tcp", local(uint16(c.Postgres.Port))})
	}
	if len(c.Kafka.Brokers) == 0 {
		all = append(all, listener{"kafka.port", "tcp", local(uint16(c.Kafka.Port))})
	}
	return all
}

// ports tries to bind each, unless the engine that should have them is running.
func ports(ctx context.Context, p Patient) []Finding {
	if p.Running != nil {
		f := Finding{
			About: "ports",
			RU:    fmt.Sprintf("Движок работает (процесс %d), порты заняты им.", p.Running.PID),
			EN:    fmt.Sprintf("The engine is running (process %d) and holds its ports.", p.Running.PID),
		}
		return one(f)
	}
	var all []Finding
	for _, l := range wanted(p) {
		if l.address == "" {
			continue
		}
		f := Finding{About: l.key, RU: l.address + " свободен.", EN: l.address + " is free."}
		if err := try(ctx, l); err != nil {
			f.Level = Fault
			f.RU = fmt.Sprintf("%s/%s занять нельзя: %v. Освободите порт или задайте другой ключом %s.", l.address, l.network, err, l.key)
			f.EN = fmt.Sprintf("%s/%s cannot be had: %v. Free the port or set another by %s.", l.address, l.network, err, l.key)
		}
		all = append(all, f)
	}
	return all
}

func try(ctx context.Context, l listener) error {
	var lc net.ListenConfig
	if l.network == "udp" {
		pc, err := lc.ListenPacket(ctx, l.network, l.address)
		if err != nil {
			return cause(err)
		}
		return pc.Close()
	}
	ln, err := lc.Listen(ctx, l.network, l.address)
	if err != nil {
		return cause(err)
	}
	return ln.Close()
}

// cause drops "listen tcp 127.0.0.1:5060:", which the sentence says already.
func cause(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}

// maxSkew is how far the database's clock may be from ours.
const maxSkew = 2 * time.Second

// postgres looks at the database's version and settings, or whether one can be made.
func postgres(ctx context.Context, p Patient) []Finding {
	bad := func(err error) []Finding {
		return one(Finding{"postgres", Fault, fmt.Sprintf("База недоступна: %v", err), fmt.Sprintf("The database cannot be used: %v", err)})
	}
	switch {
	case p.PostgresErr != nil:
		return bad(p.PostgresErr)
	case p.Postgres == "":
		b, err := pgserver.FindBinaries(ctx, 0)
		if err != nil {
			return bad(err)
		}
		return one(Finding{
			About: "postgres",
			RU:    fmt.Sprintf("Базы ещё нет; её создаст первый запуск, PostgreSQL %d из %s.", b.Major, b.Dir),
			EN:    fmt.Sprintf("No database yet; the first start makes one with PostgreSQL %d from %s.", b.Major, b.Dir),
		})
	}
	f, err := facts(ctx, p.Postgres)
	if err != nil {
		return bad(err)
	}
	return append(database(f, p.Now()), schema(ctx, p.Postgres)...)
}

// schema looks at who owns the tables and whether months were made in time.
func schema(ctx context.Context, url string) []Finding {
	s, err := migrations.Look(ctx, url)
	if err != nil {
		return one(Finding{"postgres", Warning, fmt.Sprintf("Таблицы базы не осмотреть: %v", err), fmt.Sprintf("The database's tables cannot be looked at: %v", err)})
	}
	var all []Finding
	if s.Owns {
		all = append(all, Finding{
			"postgres", Warning,
			"Роль движка владеет таблицами: кто захватит движок, отключит триггеры журнала и перепишет его. " +
				"Заведите роль-владельца (CREATE ROLE nabat_owner LOGIN …; REASSIGN OWNED BY <роль движка> TO nabat_owner; " +
				"ALTER DATABASE … OWNER TO nabat_owner) и выполните nabat migrate с --postgres-migrate-url.",
			"The engine's role owns the tables: whoever takes the engine over can disable the journal's triggers and rewrite it. " +
				"Make an owner (CREATE ROLE nabat_owner LOGIN …; REASSIGN OWNED BY <the engine's role> TO nabat_owner; " +
				"ALTER DATABASE … OWNER TO nabat_owner) and run nabat migrate with --postgres-migrate-url.",
		})
	}
	if s.Stray > 0 {
		all = append(all, Finding{
			"postgres", Warning,
			fmt.Sprintf("Извещений в запасной секции: %d, с %s по %s. Секция их месяца не была создана вовремя (движок не работал в начале месяца "+
				"или часы спешили); движок перенесёт их, как только создаст её, причина неудачи в его журнале (alarms.partitions).", s.Stray, day(s.First), day(s.Last)),
			fmt.Sprintf("%d notifications lie in the default partition, from %s to %s. Their month was not made in time (no engine ran when the month began, "+
				"or a clock was ahead); the engine moves them when it makes it, and its log says why it failed (alarms.partitions).", s.Stray, day(s.First), day(s.Last)),
		})
	} else {
		all = append(all, Finding{
			About: "postgres", RU: "Запасная секция извещений пуста: месяцы создаются вовремя.",
			EN: "The default partition of notifications is empty: months are made in time.",
		})
	}
	return all
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

func database(f pgserver.Facts, now time.Time) []Finding {
	all := one(Finding{
		About: "postgres", RU: fmt.Sprintf("PostgreSQL %s отвечает, соединений до %d.", f.Version, f.MaxConnections),
		EN: fmt.Sprintf("PostgreSQL %s answers, up to %d connections.", f.Version, f.MaxConnections),
	})
	add := func(l Level, ru, en string) { all = append(all, Finding{"postgres", l, ru, en}) }
	if f.Major < pgserver.MinMajor {
		add(Fault, fmt.Sprintf("Нужна версия не старше %d.", pgserver.MinMajor), fmt.Sprintf("Version %d or newer is needed.", pgserver.MinMajor))
	}
	if err := f.Durable(); err != nil {
		add(Fault, fmt.Sprintf("fsync=%s, full_page_writes=%s, synchronous_commit=%s: все три должны быть on, иначе подтверждённый сигнал можно потерять. %s",
			f.FSync, f.FullPageWrites, f.SynchronousCommit, f.Remedy("ru")), err.Error()+".")
	} else {
		add(Fine, "fsync, full_page_writes и synchronous_commit включены.", "fsync, full_page_writes and synchronous_commit are on.")
	}
	if f.Superuser {
		add(Warning, "Движок подключён суперпользователем: дайте ему роль попроще.", "The engine connects as a superuser: give it a plainer role.")
	}
	if f.Encoding != "UTF8" {
		add(Fault, "Кодировка базы "+f.Encoding+", нужна UTF8.", "The database's encoding is "+f.Encoding+", it must be UTF8.")
	}
	if skew := f.Clock.Sub(now).Abs(); skew > maxSkew {
		add(Warning, fmt.Sprintf("Часы базы расходятся с нашими на %s.", skew.Round(time.Millisecond)),
			fmt.Sprintf("The database's clock is %s off ours.", skew.Round(time.Millisecond)))
	}
	return all
}

// brokers asks the Kafka cluster.
func brokers(ctx context.Context, p Patient) []Finding {
	if p.Brokers == nil {
		return one(Finding{
			About: "kafka", RU: "Брокер встроенный, он запускается вместе с движком.",
			EN: "The broker is embedded and starts with the engine.",
		})
	}
	ru, en, err := p.Brokers.Check(ctx)
	if err != nil {
		return one(Finding{"kafka", Fault, fmt.Sprintf("Kafka недоступна: %v. Карточки копятся в журнале и уйдут, когда она ответит.", err),
			fmt.Sprintf("Kafka cannot be reached: %v. Cards stay in the journal and leave when it answers.", err)})
	}
	all := one(Finding{About: "kafka", RU: "Kafka отвечает.", EN: "Kafka answers."})
	for i := range min(len(ru), len(en)) {
		all = append(all, Finding{"kafka", Warning, ru[i], en[i]})
	}
	return all
}

// soon is when an expiring certificate is worth a warning.
const soon = 30 * 24 * time.Hour

// certificate looks at what the console would show a browser.
func certificate(_ context.Context, p Patient) []Finding {
	c := p.Config
	say := func(l Level, ru, en string) []Finding { return one(Finding{"certificate", l, ru, en}) }
	if !c.ConsoleTLS() {
		return say(Fine, "Консоль открыта только на этой машине, сертификат не нужен.", "The console is open on this machine only and needs no certificate.")
	}
	certFile, keyFile := c.Console.Cert, c.Console.Key
	own := certFile == ""
	if own {
		certFile, keyFile = filepath.Join(c.Data, "tls", "console.crt"), filepath.Join(c.Data, "tls", "console.key")
	}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if own && errors.Is(err, fs.ErrNotExist) {
		return say(Warning, "Сертификата нет; первый запуск сделает самодельный, и браузеры спросят о нём. Свой задаётся ключами console.cert и console.key.",
			"There is no certificate; the first start makes one of its own, and browsers will ask about it. Set yours by console.cert and console.key.")
	}
	if err != nil {
		return say(Fault, "Сертификат не читается: "+err.Error(), "The certificate cannot be read: "+err.Error())
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return say(Fault, "Сертификат не разобрать: "+err.Error(), "The certificate cannot be parsed: "+err.Error())
	}
	until := leaf.NotAfter.Format("2006-01-02")
	switch left := leaf.NotAfter.Sub(p.Now()); {
	case left <= 0:
		return say(Fault, "Сертификат истёк "+until+".", "The certificate expired on "+until+".")
	case p.Now().Before(leaf.NotBefore):
		return say(Fault, "Сертификат ещё не действует.", "The certificate is not valid yet.")
	case left < soon:
		return say(Warning, "Сертификат истекает "+until+".", "The certificate expires on "+until+".")
	default:
		return say(Fine, "Сертификат действует до "+until+".", "The certificate is valid until "+until+".")
	}
}
