package config

import (
	"fmt"
	"net/netip"
	"time"
)

// Base is what every command needs to find the engine's data.
type Base struct {
	Data     string   `default:"./data" env:"NABAT_DATA" help:"${key_data}"`
	Postgres Postgres `embed:"" prefix:"postgres-" envprefix:"NABAT_POSTGRES_"`
	Kafka    Kafka    `embed:"" prefix:"kafka-" envprefix:"NABAT_KAFKA_"`
	Log      Log      `embed:"" prefix:"log-" envprefix:"NABAT_LOG_"`
}

// Postgres is the city's own server (URL), or the embedded one (Port).
type Postgres struct {
	URL string `env:"URL" placeholder:"postgres://…" help:"${key_postgres_url}"`
	// MigrateURL is of the role that owns the schema, where that is not the engine's.
	MigrateURL string `name:"migrate-url" env:"MIGRATE_URL" placeholder:"postgres://…" help:"${key_postgres_migrate_url}"`
	Port       Port   `default:"5433" env:"PORT" help:"${key_postgres_port}"`
	// UnsafeSettings is for the kill test, which must show that a server that
	// forgets is found out. Hidden, and named so that nobody takes it by mistake.
	UnsafeSettings map[string]string `hidden:"" env:"UNSAFE_SETTINGS_THAT_LOSE_ALARMS" name:"unsafe-settings-that-lose-alarms" help:"${key_postgres_unsafe}"`
}

// Kafka is the city's own brokers, or the embedded one.
type Kafka struct {
	Brokers []HostPort `env:"BROKERS" placeholder:"HOST:PORT" help:"${key_kafka_brokers}"`
	Port    Port       `default:"9092" env:"PORT" help:"${key_kafka_port}"`
}

// Log says how much is written and in which form.
type Log struct {
	Level  string `default:"info" enum:"debug,info,warn,error" env:"LEVEL" help:"${key_log_level}"`
	Format string `default:"auto" enum:"auto,console,json" env:"FORMAT" help:"${key_log_format}"`
}

// Config is everything an engine can be told.
type Config struct {
	Base   `embed:""`
	Listen netip.Addr `default:"127.0.0.1" env:"NABAT_LISTEN" help:"${key_listen}"`

	SIP     SIP     `embed:"" prefix:"sip-" envprefix:"NABAT_SIP_"`
	RTP     RTP     `embed:"" prefix:"rtp-" envprefix:"NABAT_RTP_"`
	Alarms  Alarms  `embed:"" prefix:"alarms-" envprefix:"NABAT_ALARMS_"`
	Console Console `embed:"" prefix:"console-" envprefix:"NABAT_CONSOLE_"`
	Ops     Ops     `embed:"" prefix:"ops-" envprefix:"NABAT_OPS_"`
	Drain   Drain   `embed:"" prefix:"drain-" envprefix:"NABAT_DRAIN_"`
}

// SIP is where callers' trunks connect.
type SIP struct {
	UDP Address `default:":5060" env:"UDP" help:"${key_sip_udp}"`
	TCP Address `default:":5060" env:"TCP" help:"${key_sip_tcp}"`
	// Peers are the trunks' networks; empty: everyone may speak.
	Peers []Network `env:"PEERS" placeholder:"NETWORK" help:"${key_sip_peers}"`
	// AnnouncePort is what Contact and Via name when it differs from the bound one.
	AnnouncePort Port          `default:"0" env:"ANNOUNCE_PORT" help:"${key_sip_announce_port}"`
	Calls        int           `default:"2000" env:"CALLS" help:"${key_sip_calls}"`
	Legs         int           `default:"20000" env:"LEGS" help:"${key_sip_legs}"`
	Silence      time.Duration `default:"15s" env:"SILENCE" help:"${key_sip_silence}"`
	Slow         time.Duration `default:"2s" env:"SLOW" help:"${key_sip_slow}"`
}

// RTP is where voice arrives.
type RTP struct {
	Ports PortRange `default:"20000-29999" env:"PORTS" help:"${key_rtp_ports}"`
	// Announce is what SDP names when it differs from the bound address.
	Announce string `env:"ANNOUNCE" placeholder:"IP" help:"${key_rtp_announce}"`
}

// Alarms is where facility panels connect.
type Alarms struct {
	UDP Address `default:":12000" env:"UDP" help:"${key_alarms_udp}"`
	TCP Address `default:":12000" env:"TCP" help:"${key_alarms_tcp}"`
	// PerSource bounds the connections of one address; 0 leaves it to the listener.
	PerSource int `default:"0" env:"PER_SOURCE" help:"${key_alarms_per_source}"`
}

// Console is the operators' page and the API.
type Console struct {
	Address Address `default:":8112" env:"ADDRESS" help:"${key_console_address}"`
	Cert    string  `env:"CERT" type:"path" placeholder:"FILE" help:"${key_console_cert}"`
	Key     string  `env:"KEY" type:"path" placeholder:"FILE" help:"${key_console_key}"`
	// Connections bounds the HTTP connections, websockets included; 0 leaves it to
	// the engine.
	Connections int `default:"0" env:"CONNECTIONS" help:"${key_console_connections}"`
}

// Ops is health and metrics.
type Ops struct {
	Address Address `default:":9112" env:"ADDRESS" help:"${key_ops_address}"`
}

// Drain bounds the steps of a stop.
type Drain struct {
	Intake   time.Duration `default:"10s" env:"INTAKE" help:"${key_drain_intake}"`
	Relay    time.Duration `default:"10s" env:"RELAY" help:"${key_drain_relay}"`
	Console  time.Duration `default:"5s" env:"CONSOLE" help:"${key_drain_console}"`
	Database time.Duration `default:"30s" env:"DATABASE" help:"${key_drain_database}"`
}

// Validate checks what one value cannot know of another, and returns MistakesError.
// Kong calls it.
func (c Config) Validate() error {
	var found MistakesError
	for _, d := range []struct {
		name string
		d    time.Duration
	}{
		{"drain-intake", c.Drain.Intake}, {"drain-relay", c.Drain.Relay},
		{"drain-console", c.Drain.Console}, {"drain-database", c.Drain.Database},
	} {
		if d.d <= 0 {
			found = append(found, Mistake{[]string{d.name}, fmt.Sprintf("a stop needs more than %s", d.d)})
		}
	}
	if c.Alarms.PerSource < 0 {
		found = append(found, Mistake{[]string{"alarms-per-source"}, fmt.Sprintf("%d connections cannot be", c.Alarms.PerSource)})
	}
	if c.Console.Connections < 0 {
		found = append(found, Mistake{[]string{"console-connections"}, fmt.Sprintf("%d connections cannot be", c.Console.Connections)})
	}
	for _, n := range []struct {
		name string
		n    int64
	}{
		{"sip-calls", int64(c.SIP.Calls)}, {"sip-legs", int64(c.SIP.Legs)},
		{"sip-silence", int64(c.SIP.Silence)}, {"sip-slow", int64(c.SIP.Slow)},
	} {
		if n.n <= 0 {
			found = append(found, Mistake{[]string{n.name}, "it takes more than 0"})
		}
	}
	if c.SIP.Legs < c.SIP.Calls {
		found = append(found, Mistake{[]string{"sip-legs", "sip-calls"}, "every answered call is one of those known: there cannot be fewer"})
	}
	if (c.Console.Cert == "") != (c.Console.Key == "") {
		found = append(found, Mistake{[]string{"console-cert", "console-key"}, "one goes with the other"})
	}
	if c.RTP.Announce != "" {
		if _, err := netip.ParseAddr(c.RTP.Announce); err != nil {
			found = append(found, Mistake{[]string{"rtp-announce"}, fmt.Sprintf("%q is not an IP address", c.RTP.Announce)})
		}
	}
	if found != nil {
		return found
	}
	return nil
}

// Bind is the address to listen on: the one given, or its port on --listen.
// Empty for a listener that is off.
func (c Config) Bind(a Address) string { return a.on(c.Listen) }

// ConsoleTLS says whether the console must speak HTTPS: as soon as it or the
// operations address can be reached from elsewhere, or a certificate was given.
func (c Config) ConsoleTLS() bool {
	return c.Console.Cert != "" || !loopback(c.Bind(c.Console.Address)) || !loopback(c.Bind(c.Ops.Address))
}
