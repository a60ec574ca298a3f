package city

import (
	"fmt"
	"math/rand/v2"
)

// naming is one kind of facility: how often it occurs and what it is called.
// A format with %d is numbered through; one with %s takes a proper name.
type naming struct {
	weight int
	format string
	proper []string
}

var namings = map[string][]naming{
	CategoryEducation: {
		{22, "Школа № %d", nil},
		{36, "Детский сад № %d", nil},
		{4, "Гимназия № %d", nil},
		{3, "Лицей № %d", nil},
		{4, "Колледж № %d", nil},
		{3, "Школа-интернат № %d", nil},
		{4, "Центр творчества «%s»", properNames},
		{4, "Детская музыкальная школа № %d", nil},
	},
	CategoryHealth: {
		{10, "Городская поликлиника № %d", nil},
		{6, "Детская поликлиника № %d", nil},
		{5, "Городская больница № %d", nil},
		{4, "Стоматологическая поликлиника № %d", nil},
		{4, "Женская консультация № %d", nil},
		{3, "Подстанция скорой помощи № %d", nil},
		{2, "Диспансер № %d", nil},
	},
	CategorySocial: {
		{5, "Центр социального обслуживания населения № %d", nil},
		{3, "Дом-интернат для пожилых № %d", nil},
		{3, "Центр социальной реабилитации № %d", nil},
		{2, "Центр содействия семье № %d", nil},
		{2, "Дом ветеранов № %d", nil},
	},
	CategoryOther: {
		{6, "Спортивная школа № %d", nil},
		{5, "Библиотека № %d", nil},
		{4, "Подростково-молодёжный клуб «%s»", properNames},
		{3, "Дом культуры «%s»", properNames},
		{2, "Плавательный бассейн «%s»", properNames},
		{2, "Стадион «%s»", properNames},
		{2, "Музей № %d", nil},
		{1, "Театр «%s»", properNames},
		{2, "Дом молодёжи «%s»", properNames},
	},
}

var properNames = []string{
	"Восход", "Заря", "Радуга", "Нева", "Факел", "Олимп", "Маяк", "Парус", "Бригантина", "Орлёнок",
	"Юность", "Созвездие", "Мечта", "Родник", "Дружба", "Балтика", "Рассвет", "Северное сияние",
	"Алые паруса", "Белые ночи", "Ладога", "Светлана", "Чайка", "Юнга", "Спутник", "Меридиан",
}

var (
	firePlaces = []string{
		"коридор первого этажа", "коридор второго этажа", "актовый зал", "пищеблок", "подвал", "чердак",
		"электрощитовая", "библиотека", "гардероб", "спортзал", "кабинет заведующего", "архив", "лестница А", "лестница Б",
	}
	panicPlaces = []string{"пост охраны", "вахта", "регистратура", "кабинет директора", "касса"}
	gasPlaces   = []string{"котельная", "пищеблок, газовые плиты", "газорегуляторный пункт", "теплогенераторная"}
)

// namer gives names of a category's facilities. Numbers run through each kind,
// proper names repeat with a number once they are used up, so no two facilities
// of a city share a name.
func namer(rng *rand.Rand, category string) func() string {
	kinds := namings[category]
	sum := 0
	for _, k := range kinds {
		sum += k.weight
	}
	used := make([]int, len(kinds))
	return func() string {
		n := rng.IntN(sum)
		for i, k := range kinds {
			if n -= k.weight; n >= 0 {
				continue
			}
			used[i]++
			if k.proper == nil {
				return fmt.Sprintf(k.format, used[i])
			}
			name := k.proper[(used[i]-1)%len(k.proper)]
			if round := (used[i] - 1) / len(k.proper); round > 0 {
				name = fmt.Sprintf("%s-%d", name, round+1)
			}
			return fmt.Sprintf(k.format, name)
		}
		panic("city: weights do not add up")
	}
}
