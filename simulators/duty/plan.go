package duty

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"time"
)

// step is one status after a pause.
type step struct {
	after   time.Duration
	status  string
	comment string
}

// Habits are how a service behaves.
type Habits struct {
	// Speed divides every pause; 0 is 1, the pace of people.
	Speed float64
	// Refuse and GiveUp are shares from 0 to 1: of incidents refused at once, and
	// of those given up after arrival.
	Refuse, GiveUp float64
	Seed           uint64
}

// pace lists the work's statuses with the least and the most pause before each.
var pace = []struct {
	status      string
	least, most time.Duration
}{
	{"received", 200 * time.Millisecond, time.Second},
	{"accepted", 2 * time.Second, 15 * time.Second},
	{"en_route", 20 * time.Second, 75 * time.Second},
	{"arrived", 3 * time.Minute, 11 * time.Minute},
	{"working", 20 * time.Second, 90 * time.Second},
	{"completed", 6 * time.Minute, 30 * time.Minute},
}

var refusals = []string{
	"Нет свободных расчётов, передайте соседней части", "Не наш район выезда", "Ложный вызов подтверждён по телефону",
}

var surrenders = []string{"Прибыли, факт не подтвердился", "Доступ на объект не предоставлен"}

// plan is what the service will say about an incident, from the event's id alone.
func (h Habits) plan(event string) []step {
	sum := fnv.New64a()
	sum.Write([]byte(event))
	rng := rand.New(rand.NewPCG(h.Seed, sum.Sum64()))
	speed := h.Speed
	if speed <= 0 {
		speed = 1
	}
	refuse, giveUp := rng.Float64() < h.Refuse, rng.Float64() < h.GiveUp
	var out []step
	for _, p := range pace {
		d := time.Duration(float64(p.least+time.Duration(rng.Int64N(int64(p.most-p.least)))) / speed)
		switch {
		case p.status == "accepted" && refuse:
			return append(out, step{d, "refused", refusals[rng.IntN(len(refusals))]})
		case p.status == "working" && giveUp:
			return append(out, step{d, "work_refused", surrenders[rng.IntN(len(surrenders))]})
		}
		out = append(out, step{after: d, status: p.status})
	}
	return out
}

// order is the service's own number of its order, again from the event's id alone.
func order(service, event string) string {
	sum := fnv.New32a()
	sum.Write([]byte(event))
	prefix := map[string]string{"police": "П", "fire": "МЧС", "gas": "Г", "medical": "С"}[service]
	if prefix == "" {
		prefix = service
	}
	return fmt.Sprintf("%s-%06d", prefix, sum.Sum32()%1_000_000)
}
