package main

import (
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"nabat/simulators/panel"
)

type phrase struct{ ru, en string }

func (p phrase) in(lang string) string {
	if lang == "en" {
		return p.en
	}
	return p.ru
}

// words are all that people read here, Russian first.
var words = map[string]phrase{
	"description": {
		"Внешний мир «Набата»: приборы, абоненты, SMS, службы, операторы, день города. Код выхода: 0 — подтверждено всё, 1 — есть потери или отказы, 2 — не удалось запустить.",
		"Nabat's outside world: panels, callers, SMS, services, call-takers, a city's day. Exit code: 0 all acknowledged, 1 something lost or refused, 2 could not run.",
	},
	"cmd_alarm":     {"Послать одну тревогу объекта.", "Send one alarm of a facility."},
	"cmd_panels":    {"Приборы DC-09: тысячи сразу, с заданным темпом или шквалом.", "DC-09 panels: thousands at once, at a rate or as a storm."},
	"cmd_call":      {"Звонки по SIP со звуком.", "SIP calls with sound."},
	"cmd_sms":       {"Послать SMS (SIP MESSAGE).", "Send text messages (SIP MESSAGE)."},
	"cmd_duty":      {"Дежурная служба: читает свой топик Kafka и отвечает.", "A duty service: reads its Kafka topic and replies."},
	"cmd_operators": {"Операторы и старший смены: только открытый API и вебсокет.", "Call-takers and a supervisor: the public API and websocket only."},
	"cmd_day":       {"День города: приборы, звонки, SMS, люди.", "The city's day: panels, calls, SMS, people."},

	"help":         {"Показать справку.", "Show this help."},
	"json":         {"Отчёт одной строкой JSON.", "The report as one line of JSON."},
	"lang_help":    {"Язык сообщений: ru, en.", "Language of messages: ru, en."},
	"seed":         {"Зерно случайности: одинаковое — одинаковый ход.", "Seed of chance: the same seed, the same course."},
	"allow_remote": {"Разрешить адреса вне этой машины.", "Allow addresses outside this machine."},
	"verbose":      {"Писать ход работы в stderr.", "Log the course of work to stderr."},
	"remote": {
		"адрес %s не на этой машине: ложная тревога поднимет настоящих людей; если это намеренно — --allow-remote",
		"address %s is not on this machine: a made-up alarm sends real people out; --allow-remote if that is meant",
	},

	"addr_alarms": {"Приёмник DC-09.", "DC-09 receiver."},
	"addr_sip":    {"Адрес SIP.", "SIP address."},
	"udp":         {"По UDP вместо TCP.", "Over UDP instead of TCP."},
	"tcp":         {"По TCP вместо UDP.", "Over TCP instead of UDP."},
	"count":       {"Сколько всего.", "How many in all."},
	"duration":    {"Как долго начинать новые.", "How long to begin new ones."},
	"rate":        {"Сколько в секунду; 0 — как успевают.", "How many a second; 0: as fast as answered."},
	"wait":        {"Сколько ждать ответа.", "How long to wait for an answer."},
	"tries":       {"Сколько раз посылать.", "How often to send."},
	"account":     {"Номер прибора; по умолчанию — школа демо-города.", "The panel's account; by default a school of the demo city."},
	"class":       {"Что случилось:", "What happened:"},
	"code":        {"Код Contact ID вместо обычного для --class, три цифры.", "Contact ID code instead of the class's usual one, three digits."},
	"zone":        {"Номер шлейфа; -1 — из реестра города.", "Zone number; -1: the city's registry knows."},
	"area":        {"Номер раздела; -1 — из реестра города.", "Area number; -1: the city's registry knows."},
	"restore":     {"Восстановление вместо тревоги.", "A restore instead of an alarm."},
	"protocol":    {"Язык прибора:", "The panel's language:"},
	"text":        {"Текст сообщения.", "The message's text."},
	"from":        {"Номер абонента; по умолчанию — выдуманный.", "The caller's number; by default a made-up one."},
	"number":      {"Вызываемый номер.", "Number called."},

	"panels":    {"Сколько приборов.", "How many panels."},
	"unknown":   {"Приборы, которых нет в реестре демо-города.", "Panels that the demo city's registry does not have."},
	"each":      {"Сколько сообщений от каждого прибора.", "Messages of each panel."},
	"mix":       {"Что сообщают:", "What they tell:"},
	"one_shot":  {"TCP: соединение на каждое сообщение.", "TCP: a connection for each message."},
	"shared":    {"TCP: сколько соединений на всех; прибор не ждёт ответа другому. 0 — у каждого своё.", "TCP: connections shared by all; no panel waits for another's answer. 0: each has its own."},
	"sockets":   {"UDP: сколько сокетов на всех.", "UDP: sockets shared by all."},
	"storm":     {"Шквал: все приборы разом, по три срочных сообщения за десять секунд.", "A storm: all panels at once, three urgent messages each within ten seconds."},
	"first":     {"С какого номера события начинать: повтор прогона в пределах минуты требует другого.", "Number of the first event: a second run within a minute needs another one."},
	"log":       {"Записать исход каждого сообщения в файл, JSON по строке.", "Write each message's outcome to a file, a line of JSON each."},
	"hold":      {"Сколько говорить после ответа.", "How long to talk after the answer."},
	"most":      {"Сколько сразу, не больше.", "At most so many at once."},
	"endpoints": {"Сколько адресов-источников.", "How many source addresses."},
	"cancel":    {"Отменить вызов через столько после первого отклика (100 Trying). Кому ответили раньше, тот не отменён: код возврата 1.", "Cancel the call so long after the first sign of life (100 Trying). One that is answered sooner is not cancelled: exit code 1."},
	"share":     {"Какая доля бросает трубку, 0…1.", "What share gives up, 0 to 1."},
	"repeat":    {"Сколько раз повторить INVITE.", "How often to repeat the INVITE."},
	"no_sound":  {"Без звука: только сигнализация.", "No sound: signalling only."},
	"want":      {"Считать тишину потерей.", "Count silence as a loss."},
	"bye":       {"Ждать, пока положит трубку та сторона.", "Wait until the other side hangs up."},

	"brokers":  {"Брокеры Kafka.", "Kafka brokers."},
	"service":  {"Служба: police, fire, gas, medical, … Можно несколько.", "Service: police, fire, gas, medical, … May be given several times."},
	"speed":    {"Во сколько раз быстрее людей.", "How many times faster than people."},
	"refuse":   {"Доля отказов, 0…1.", "Share of refusals, 0 to 1."},
	"give_up":  {"Доля отказов на месте, 0…1.", "Share given up at the place, 0 to 1."},
	"fresh":    {"Не отвечать на то, что было до запуска.", "Do not answer what was there before the start."},
	"done":     {"Закончить после стольких отработанных происшествий.", "End after so many incidents worked through."},
	"url":      {"Адрес консоли.", "The console's address."},
	"access":   {"Файл demo-access.json: логины роботов.", "The file demo-access.json: the robots' logins."},
	"login":    {"Логин (если нет --access).", "Login (without --access)."},
	"password": {"Пароль.", "Password."},
	"role":     {"Роль:", "Role:"},
	"services": {"Какие службы играть.", "Which services to play."},

	"said_sent":    {"отправлено: %s, прибор %s, %s", "sent: %s, panel %s, %s"},
	"said_unknown": {"объект не из демо-города", "no facility of the demo city"},
	"said_text":    {"отправлено с %s: %s", "sent from %s: %s"},
	"said_answer":  {"ответ: %s за %s", "answer: %s after %s"},
	"said_silence": {"ответа нет: %s", "no answer: %s"},
	"too_late":     {"не отменено: на вызовы (%d) ответили раньше; задайте меньшее --cancel", "not cancelled: %d calls were answered sooner; give a smaller --cancel"},
	"no_broker":    {"Kafka не отвечает", "Kafka does not answer"},
	"few_done":     {"отработано %d происшествий из %d", "%d of %d incidents were worked through"},
	"no_logins":    {"нет ни одного логина: нужен --access или --login и --password", "no logins: give --access, or --login and --password"},
	"examples":     {"Примеры", "Examples"},
}

// examples of each mode; the empty key is the program's own.
var examples = map[string][]string{
	"": {
		"nabatsim alarm", "nabatsim sms --text 'ул. Труда, д. 5. Дым из окна'", "nabatsim call --hold 10s",
		"nabatsim panels --storm --panels 6406", "nabatsim day --access data/demo-access.json --speed 10",
	},
	"alarm": {
		"nabatsim alarm", "nabatsim alarm --account 1A2B --class gas", "nabatsim alarm --restore",
		"nabatsim alarm --class panic --udp --protocol sia-dcs",
	},
	"panels": {
		"nabatsim panels --panels 1000 --count 100000", "nabatsim panels --mix urgent --rate 50 --duration 1m --log sent.ndjson",
		"nabatsim panels --udp --mix heartbeat --panels 6406 --each 1", "nabatsim panels --storm --panels 6406",
	},
	"call": {
		"nabatsim call --hold 10s", "nabatsim call --rate 20 --duration 1m --hold 5s", "nabatsim call --cancel 2s",
		"nabatsim call --count 100 --repeat 3 --want-sound",
	},
	"sms":       {"nabatsim sms --text 'ул. Труда, д. 5. Дым из окна'", "nabatsim sms --count 1000 --rate 100"},
	"duty":      {"nabatsim duty --service fire --speed 20", "nabatsim duty --service gas --refuse 0.2 --count 10 --duration 5m"},
	"operators": {"nabatsim operators --access data/demo-access.json --duration 10m", "nabatsim operators --login operator1 --password secret --duration 1m"},
	"day":       {"nabatsim day --duration 1h", "nabatsim day --access data/demo-access.json --speed 10 --duration 10m"},
}

// language is what --lang, NABAT_LANG or the locale ask for; Russian otherwise.
func language(args []string) string {
	candidates := []string{os.Getenv("NABAT_LANG"), os.Getenv("LC_ALL"), os.Getenv("LC_MESSAGES"), os.Getenv("LANG")}
	for i, a := range args {
		if v, ok := strings.CutPrefix(a, "--lang="); ok {
			candidates = slices.Insert(candidates, 0, v)
		} else if a == "--lang" && i+1 < len(args) {
			candidates = slices.Insert(candidates, 0, args[i+1])
		}
	}
	for _, c := range candidates {
		switch c = strings.ToLower(c); {
		case strings.HasPrefix(c, "en"):
			return "en"
		case strings.HasPrefix(c, "ru"):
			return "ru"
		}
	}
	return "ru"
}

func vocabulary(lang string) kong.Vars {
	vars := kong.Vars{"lang": lang, "mixes": strings.Join(panel.MixNames(), ", ")}
	var kinds []string
	for _, k := range panel.Kinds() {
		kinds = append(kinds, string(k))
	}
	vars["kinds"] = strings.Join(kinds, ",")
	for key, p := range words {
		vars[key] = p.in(lang)
	}
	return vars
}

// withExamples prints the examples below kong's help.
func withExamples(lang string) kong.HelpPrinter {
	return func(o kong.HelpOptions, k *kong.Context) error {
		if err := kong.DefaultHelpPrinter(o, k); err != nil {
			return err
		}
		name := ""
		if n := k.Selected(); n != nil {
			name = n.Name
		}
		if _, err := k.Stdout.Write([]byte("\n" + words["examples"].in(lang) + ":\n")); err != nil {
			return err
		}
		for _, e := range examples[name] {
			if _, err := k.Stdout.Write([]byte("  " + e + "\n")); err != nil {
				return err
			}
		}
		return nil
	}
}
