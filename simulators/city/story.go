package city

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"unicode"
)

// Story is what a caller has to say, as a call-taker would put it on the form.
// Its words are those of the public API: incident types, reasons for closing
// without a response, services.
type Story struct {
	// Reason is set when the contact needs no response (42 % in the city), and
	// then nothing else is but Description.
	Reason      string
	Type        string
	Place       string
	District    string
	Description string
	// Services are those that such a case is expected to go to. The engine's
	// rules decide; these agree with its default ruleset, and are for histories,
	// which know the answer beforehand.
	Services []string
}

// Needed tells whether somebody has to go there.
func (s Story) Needed() bool { return s.Reason == "" }

// plot is one kind of story with its share of the calls that need a response.
type plot struct {
	weight   int
	kind     string
	services []string
	told     []string
}

// The weights are the city's yearly figures in thousands: about 874 police,
// 1,061 ambulance, 74 fire and 29 gas calls for one service, 182 for several.
var plots = []plot{
	{500, "public_order", []string{"police"}, []string{
		"Шумная компания во дворе, ругаются, бьют бутылки.", "Пьяный мужчина не даёт пройти в подъезд.",
		"Соседи громко включили музыку, не открывают.", "Драка у магазина, человек пять.",
	}},
	{374, "crime", []string{"police"}, []string{
		"Вырвали сумку, убежали во дворы.", "Вскрыта машина, пропали вещи.", "Неизвестный ломится в дверь квартиры.",
		"Обнаружили, что квартира обворована.",
	}},
	{1061, "medical", []string{"medical"}, []string{
		"Мужчине 60 лет плохо с сердцем, в сознании.", "Пожилая женщина упала, не может встать.",
		"У ребёнка температура 39,8, судороги.", "Человек без сознания на остановке, дышит.",
		"Сильная боль в животе, рвота.", "Приступ астмы, ингалятор не помогает.",
	}},
	{74, "fire", []string{"fire"}, []string{
		"Дым из окна третьего этажа.", "Горит мусорный контейнер рядом с машинами.",
		"Запах гари в подъезде, видно дым из щитка.", "Горит балкон, пламя видно с улицы.",
	}},
	{29, "gas", []string{"gas", "fire"}, []string{
		"Сильный запах газа в подъезде.", "Пахнет газом на кухне, плита выключена.",
	}},
	{120, "road_accident", []string{"police", "medical"}, []string{
		"Столкнулись две легковые, водитель жалуется на шею, перекрыта полоса.",
		"ДТП с пострадавшим: сбит пешеход, в сознании.", "Лобовое столкновение, двое пострадавших.",
	}},
	{40, "person_in_danger", []string{"fire", "medical", "police"}, []string{
		"Ребёнок закрылся в квартире один, не может открыть.", "Человек провалился под лёд, держится за кромку.",
		"Застряли в лифте, женщине плохо.",
	}},
	{22, "explosion", []string{"fire", "police", "medical", "gas"}, []string{"Хлопок в подвале, выбило стёкла, есть дым."}},
	{60, "utility", []string{"gas"}, []string{"Прорвало трубу, кипяток на тротуаре.", "Упало дерево на провода."}},
}

// idle are the contacts that need no response, by the words of form 2/112.
var idle = []struct {
	weight       int
	reason, told string
}{
	{30, "reference", "Спрашивает телефон дежурной аптеки."},
	{25, "consultation", "Спрашивает, куда обратиться по поводу отопления."},
	{15, "wrong_number", "Ошиблись номером."},
	{12, "child_prank", "Дети балуются с телефоном."},
	{4, "test", "Проверка связи."},
	{8, "repeat_call", "Повторное обращение по уже принятому случаю."},
	{10, "no_contact", "Молчание, посторонних звуков нет."},
	{14, "dropped", "Вызов сорвался до ответа на вопросы."},
}

// NoResponsePerCent is the share of contacts that need no response.
const NoResponsePerCent = 42

// Teller makes up what callers say. It is not safe for concurrent use; give
// each goroutine its own.
type Teller struct {
	rng   *rand.Rand
	place func() District
}

// NewTeller makes a teller; the same seed tells the same stories in the same order.
func NewTeller(seed uint64) *Teller {
	rng := rand.New(rand.NewPCG(seed, 0x74656c6c))
	return &Teller{rng: rng, place: placer(rng, Districts())}
}

// Caller makes up a telephone number that nobody has.
func (t *Teller) Caller() string { return fmt.Sprintf("+7000%07d", t.rng.IntN(10_000_000)) }

// Story makes up one contact in the city's proportions.
func (t *Teller) Story() Story {
	if t.rng.IntN(100) < NoResponsePerCent {
		return t.Idle()
	}
	return t.Case()
}

// Idle makes up a contact that needs no response.
func (t *Teller) Idle() Story {
	sum := 0
	for _, i := range idle {
		sum += i.weight
	}
	n := t.rng.IntN(sum)
	for _, i := range idle {
		if n -= i.weight; n < 0 {
			return Story{Reason: i.reason, Description: i.told}
		}
	}
	panic("city: weights do not add up")
}

// Case makes up a contact that somebody has to go out for.
func (t *Teller) Case() Story {
	sum := 0
	for _, p := range plots {
		sum += p.weight
	}
	n := t.rng.IntN(sum)
	for _, p := range plots {
		if n -= p.weight; n < 0 {
			return t.dress(p)
		}
	}
	panic("city: weights do not add up")
}

func (t *Teller) dress(p plot) Story {
	d := t.place()
	return Story{
		Type: p.kind, District: d.Name, Services: p.services, Description: pick(t.rng, p.told),
		Place: fmt.Sprintf("%s, д. %d", pick(t.rng, d.Streets), 1+t.rng.IntN(120)),
	}
}

// SMS makes up a text message: the words of a case and its place.
func (t *Teller) SMS() (text string, s Story) {
	s = t.Case()
	return s.Place + ". " + s.Description, s
}

// hints are the words by which a call-taker knows what an SMS is about, the
// first that occurs wins.
var hints = []struct {
	kind  string
	words []string
}{
	{"gas", []string{"газ"}},
	{"explosion", []string{"взрыв", "хлопок"}},
	{"road_accident", []string{"дтп", "столкн", "сбит", "задели"}},
	{"fire", []string{"пожар", "гори", "дым", "гарь", "гари", "fire", "smoke"}},
	{"medical", []string{"скор", "плохо", "без сознания", "боль ", "больно", "астм", "температур", "упала", "упал ", "ambulance"}},
	{"crime", []string{"напа", "ограб", "украл", "вырвали", "вскрыт", "ломится", "обворован"}},
	{"person_in_danger", []string{"застрял", "тонет", "провалил", "закрылся"}},
	{"utility", []string{"прорвало", "провод"}},
	{"public_order", []string{"драка", "пьян", "шум", "музык"}},
}

// Guess reads a text message as a hurried call-taker would: what it is about and
// where. An unknown kind is «other»; a place that is not named is said so.
func Guess(text string) (kind, place string) {
	// Words are matched from their beginning: «магазин» is no gas.
	low := " " + strings.Join(strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) }), " ") + " "
	kind = "other"
hunt:
	for _, h := range hints {
		for _, w := range h.words {
			if strings.Contains(low, " "+w) {
				kind = h.kind
				break hunt
			}
		}
	}
	if m := address.FindStringSubmatch(text); m != nil {
		// «Пожар, Невский проспект, дом 1»: what happened is no part of where.
		if what, where, ok := strings.Cut(m[1], ", "); ok && strings.Contains(where, " ") && !strings.ContainsAny(what, " .") {
			return kind, where
		}
		return kind, m[1]
	}
	return kind, "место уточняется (из SMS)"
}

// address is everything up to the first house number.
var address = regexp.MustCompile(`^(.*?(?:д\.|дом) ?\d+[а-я]?)(?:[^\pL\d]|$)`)
