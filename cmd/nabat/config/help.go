package config

import (
	"strings"

	"github.com/alecthomas/kong"
)

// Languages of everything the command line says.
const (
	LangRussian = "ru"
	LangEnglish = "en"
)

// Lang reads a language from LANG and its like: English where that is asked
// for, else Russian.
func Lang(values ...string) string {
	for _, v := range values {
		switch {
		case v == "" || v == "C" || v == "POSIX" || strings.HasPrefix(v, "C."):
		case strings.HasPrefix(strings.ToLower(v), LangEnglish):
			return LangEnglish
		default:
			return LangRussian
		}
	}
	return LangRussian
}

// Help puts the explanations of the keys into the command line's help.
func Help(lang string) kong.Option {
	vars := kong.Vars{}
	for key, text := range explained {
		if lang == LangEnglish {
			vars["key_"+key] = text.en
		} else {
			vars["key_"+key] = text.ru
		}
	}
	return vars
}

var explained = map[string]struct{ ru, en string }{
	"data":                 {"Каталог данных: база, брокер, записи, ключи.", "Data directory: database, broker, recordings, keys."},
	"listen":               {"IP-адрес для всех портов, у которых он не указан. Не loopback — консоль работает по HTTPS.", "IP address of every listener that names none. Other than loopback, the console speaks HTTPS."},
	"postgres_url":         {"Своя база PostgreSQL. Не задано — движок запускает свою в каталоге данных.", "The city's own PostgreSQL. Unset: the engine starts one in the data directory."},
	"postgres_migrate_url": {"Та же база от имени владельца схемы, только для миграций. Не задано — postgres-url делает и это.", "The same database as the schema's owner, for migrations only. Unset: postgres-url does both."},
	"postgres_port":        {"Порт встроенной базы, только loopback; 0 — любой свободный.", "Port of the embedded database, loopback only; 0 takes a free one."},
	"postgres_unsafe":      {"ТОЛЬКО ДЛЯ ИСПЫТАНИЙ: настройки встроенной базы, с которыми подтверждённые сигналы теряются.", "FOR TESTS ONLY: settings of the embedded database with which confirmed signals are lost."},
	"kafka_brokers":        {"Свои брокеры Kafka. Не задано — встроенный брокер.", "The city's own Kafka brokers. Unset: the embedded broker."},
	"kafka_port":           {"Порт встроенного брокера, только loopback; 0 — любой свободный.", "Port of the embedded broker, loopback only; 0 takes a free one."},
	"log_level":            {"Подробность журнала: debug, info, warn, error.", "How much is logged: debug, info, warn, error."},
	"log_format":           {"Вид журнала: auto, console, json; auto — console на терминале, иначе json.", "Form of the log: auto, console, json; auto is console on a terminal, else json."},
	"sip_udp":              {"Приём вызовов SIP по UDP; off — выключить.", "SIP over UDP; off switches it off."},
	"sip_tcp":              {"Приём вызовов SIP по TCP; off — выключить.", "SIP over TCP; off switches it off."},
	"sip_peers":            {"Кому можно звонить и писать: сети или адреса транков через запятую. Не задано — всем, но один адрес занимает не больше трёх четвертей мест.", "Who may call and write: networks or addresses of the trunks, with commas. Unset: everyone, but one address takes three quarters of the places at most."},
	"sip_announce_port":    {"Порт, который называется в Contact и Via, если он не тот, на котором слушаем; 0 — тот же.", "Port named in Contact and Via when it is not the one we listen on; 0: the same."},
	"sip_calls":            {"Сколько разговоров одновременно; остальные ждут с гудком.", "Calls answered at the same time; further ones ring."},
	"sip_legs":             {"Сколько вызовов всего, вместе с ждущими; дальше — 503.", "Calls in all, waiting ones included; beyond it 503."},
	"sip_silence":          {"Через сколько без звука спросить, на линии ли ещё звонящий.", "After how long without sound to ask whether the caller is still there."},
	"sip_slow":             {"Через сколько ожидания базы ответить сети 182 Queued.", "After how long a wait for the database the network is told 182 Queued."},
	"rtp_ports":            {"Порты UDP для голоса; 0 — выбирает ядро.", "UDP ports for voice; 0: the kernel chooses."},
	"rtp_announce":         {"Адрес, который называется в SDP, если он не тот, на котором слушаем.", "Address named in SDP when it is not the one we listen on."},
	"alarms_udp":           {"Приёмник SIA DC-09 по UDP; off — выключить.", "SIA DC-09 receiver over UDP; off switches it off."},
	"alarms_tcp":           {"Приёмник SIA DC-09 по TCP; off — выключить.", "SIA DC-09 receiver over TCP; off switches it off."},
	"alarms_per_source":    {"Сколько соединений TCP с приборами принимать с одного адреса (для IPv6 — с одной сети /64); 0 — четверть всех мест.", "How many panels' TCP connections one address (of IPv6: one /64 network) may hold; 0: a quarter of all places."},
	"console_address":      {"Консоль операторов и API.", "Operators' console and API."},
	"console_cert":         {"Сертификат консоли (PEM). Не задано — самодельный, когда нужен.", "Console certificate (PEM). Unset: self-made when one is needed."},
	"console_key":          {"Ключ сертификата консоли (PEM).", "Key of the console certificate (PEM)."},
	"console_connections":  {"Сколько соединений с консолью и API открыто одновременно; дальше — отказ. 0 — восьмая часть открытых файлов, не больше 4000.", "Open connections of consoles and API; further ones are refused. 0: an eighth of the open files, 4000 at most."},
	"ops_address":          {"Состояние и метрики: /healthz, /readyz, /metrics.", "Health and metrics: /healthz, /readyz, /metrics."},
	"drain_intake":         {"Сколько при остановке ждать приём вызовов и тревог.", "How long a stop waits for the intake of calls and alarms."},
	"drain_relay":          {"Сколько при остановке ждать отправку в Kafka.", "How long a stop waits for the relay to Kafka."},
	"drain_console":        {"Сколько при остановке ждать консоли.", "How long a stop waits for the consoles."},
	"drain_database":       {"Сколько при остановке ждать базу и брокер.", "How long a stop waits for database and broker."},
}
