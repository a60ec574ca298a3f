package routing

import (
	"slices"
	"strings"

	"nabat/dispatch"
)

// Vocabulary is what a ruleset may name. A city gives its own services; classes
// are those of package alarms.
type Vocabulary struct {
	Services []dispatch.Service
	Classes  []string
}

// DefaultVocabulary has the four services of the plan and the classes of alarms.
func DefaultVocabulary() Vocabulary {
	return Vocabulary{
		Services: []dispatch.Service{dispatch.Police, dispatch.Fire, dispatch.Gas, dispatch.Medical},
		Classes:  Classes(),
	}
}

// Classes lists what an alarm can be about, by the words of package alarms.
func Classes() []string {
	return []string{
		"fire", "fire-prealarm", "fire-supervisory", "fire-trouble", "fire-bypass",
		"panic", "duress", "medical", "gas", "co", "water", "temperature", "technical",
		"intrusion", "intrusion-prealarm", "intrusion-verified", "intrusion-unverified", "tamper",
		"trouble", "supervision", "power", "comm", "jamming",
		"arming", "cancel", "access", "exception", "service", "program", "info", "log",
		"disable", "bypass", "test", "link", "unknown-zone", "unknown", "any",
	}
}

// categories are those of a facility (the registry's CHECK constraint).
var categories = []string{"education", "health", "social", "other"}

var origins = []dispatch.Origin{
	dispatch.OriginCall, dispatch.OriginSMS, dispatch.OriginECall, dispatch.OriginAlarm,
}

// language names words for the sentence that says why.
type language struct {
	notKnown                     string
	origins, categories, classes map[string]string
	ofType                       func(dispatch.TypeName) string
}

var russian = language{
	notKnown: "не известно",
	origins: map[string]string{
		"call": "звонок", "sms": "СМС", "ecall": "ЭРА-ГЛОНАСС", "alarm": "сигнализация",
	},
	categories: map[string]string{
		"education": "образование", "health": "здравоохранение", "social": "социальная защита", "other": "прочее",
	},
	classes: map[string]string{
		"fire": "пожар", "fire-prealarm": "внимание (предвестник пожара)", "panic": "тревожная кнопка",
		"duress": "принуждение", "medical": "нужна медицинская помощь", "gas": "газ", "co": "угарный газ",
		"water": "протечка", "temperature": "температура", "technical": "технологическая тревога",
		"intrusion": "проникновение", "intrusion-prealarm": "признак проникновения",
		"intrusion-verified": "подтверждённое проникновение", "tamper": "вскрытие прибора",
	},
	ofType: func(n dispatch.TypeName) string { return n.RU },
}

var english = language{
	notKnown: "not known",
	origins: map[string]string{
		"call": "call", "sms": "text message", "ecall": "ERA-GLONASS", "alarm": "alarm system",
	},
	categories: map[string]string{
		"education": "education", "health": "health care", "social": "social services", "other": "other",
	},
	classes: map[string]string{
		"fire": "fire", "fire-prealarm": "fire pre-alarm", "panic": "panic button",
		"duress": "duress", "medical": "medical help needed", "gas": "gas", "co": "carbon monoxide",
		"water": "leak", "temperature": "temperature", "technical": "technical alarm",
		"intrusion": "intrusion", "intrusion-prealarm": "sign of an intrusion",
		"intrusion-verified": "verified intrusion", "tamper": "tampering with the panel",
	},
	ofType: func(n dispatch.TypeName) string { return n.EN },
}

// constant is a word's name in CEL, where a hyphen would be a minus.
func constant(word string) string { return strings.ReplaceAll(word, "-", "_") }

// nearest finds the word that somebody probably meant, or "".
func nearest(word string, among []string) string {
	best, least := "", 3
	for _, w := range among {
		if d := distance(word, w); d < least && 2*d < min(len(w), len(word)) {
			best, least = w, d
		}
	}
	return best
}

// distance counts the letters to change, add or drop between two words.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	row := make([]int, len(y)+1)
	for j := range row {
		row[j] = j
	}
	for i := range x {
		diagonal := row[0]
		row[0] = i + 1
		for j := range y {
			cost := 1
			if x[i] == y[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(y)]
}

// meant is the tail of a message about a word that is not known.
func meant(word string, among []string) string {
	if w := nearest(word, among); w != "" {
		return "; did you mean " + w + "?"
	}
	known := slices.Sorted(slices.Values(among))
	return "; known are " + strings.Join(known, ", ")
}
