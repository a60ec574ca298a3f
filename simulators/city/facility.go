package city

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/paulmach/orb/planar"

	"github.com/paulmach/orb"
)

// DemoSeed is the seed of the city that `nabat demo` shows, so that a command
// line printed today means the same school tomorrow.
const DemoSeed = 112

// The real city's figures: facilities by category and by equipment.
const (
	Education = 3101
	Health    = 1098
	Social    = 491
	Other     = 1716
	Total     = Education + Health + Social + Other

	WithFire     = 6334
	WithPanic    = 4909
	WithSecurity = 2173
	WithGas      = 1386
)

// Categories of facility, in the registry's words.
const (
	CategoryEducation = "education"
	CategoryHealth    = "health"
	CategorySocial    = "social"
	CategoryOther     = "other"
)

// Kinds of zone: classes of the alarm that the zone gives.
const (
	ZoneFire      = "fire"
	ZonePanic     = "panic"
	ZoneIntrusion = "intrusion"
	ZoneGas       = "gas"
)

// Facility is a monitored place (объект).
type Facility struct {
	Code     string
	Name     string
	Category string
	Address  string
	District string // the district's Russian name
	Lat, Lon float64
	Phone    string
	Panels   []Panel
}

// Has tells whether the facility has a zone of the kind.
func (f Facility) Has(kind string) bool {
	return slices.ContainsFunc(f.Panels, func(p Panel) bool {
		return slices.ContainsFunc(p.Zones, func(z Zone) bool { return z.Kind == kind })
	})
}

// Panel is the alarm device there (прибор).
type Panel struct {
	Account    string // 4 or 6 upper-case hex digits, no leading zero
	Protocol   string // what it speaks: adm-cid or sia-dcs, both within DC-09
	HeartbeatS int    // seconds between link tests
	Zones      []Zone
}

// Zone is one detector loop (шлейф). Area and Number are written as Contact ID
// writes them: two and three digits.
type Zone struct {
	Area, Number string
	Kind         string
	// Code is the Contact ID event code that this loop reports.
	Code  string
	Place string
}

// Protocols that panels of the city speak within DC-09.
const (
	ContactID = "adm-cid"
	SIA       = "sia-dcs"
)

// Demo is the city of DemoSeed.
func Demo() []Facility { return Build(DemoSeed) }

// Build makes the city of a seed. Counts by category and by equipment are exact.
func Build(seed uint64) []Facility {
	rng := rand.New(rand.NewPCG(seed, 0x6e61626174)) // repeatable, not secret
	accounts := newAccounts(rng)
	equipment := equip(rng)
	districts := Districts()
	place := placer(rng, districts)

	out := make([]Facility, 0, Total)
	for _, c := range []struct {
		category, prefix string
		count            int
	}{
		{CategoryEducation, "EDU", Education},
		{CategoryHealth, "HLT", Health},
		{CategorySocial, "SOC", Social},
		{CategoryOther, "OTH", Other},
	} {
		name := namer(rng, c.category)
		for i := range c.count {
			d := place()
			lat, lon := pointIn(rng, d.Outline)
			n := len(out)
			out = append(out, Facility{
				Code: fmt.Sprintf("%s-%04d", c.prefix, i+1), Name: name(), Category: c.category,
				Address:  fmt.Sprintf("%s, д. %d", pick(rng, d.Streets), 1+rng.IntN(120)),
				District: d.Name, Lat: lat, Lon: lon,
				Phone:  fmt.Sprintf("+7812000%04d", n),
				Panels: []Panel{newPanel(rng, accounts(), equipment[n])},
			})
		}
	}
	return out
}

// outfit says what a facility is equipped with.
type outfit struct{ fire, panic, security, gas bool }

// equip deals the equipment out so that the totals are exact and nobody is left
// without anything: the few without a fire alarm all have a panic button.
func equip(rng *rand.Rand) []outfit {
	all := make([]outfit, Total)
	order := rng.Perm(Total)
	for i, n := range order {
		all[n].fire = i < WithFire
		// The last in this order have no fire alarm: they get the button first.
		all[n].panic = Total-1-i < WithPanic
	}
	for i, n := range rng.Perm(Total) {
		all[n].security = i < WithSecurity
	}
	for i, n := range rng.Perm(Total) {
		all[n].gas = i < WithGas
	}
	return all
}

// newAccounts gives each panel an account nobody else has. Seven in ten are the
// classic four digits, the others six; none begins with zero, so that no reader
// can lose a digit.
func newAccounts(rng *rand.Rand) func() string {
	taken := make(map[string]bool, Total)
	return func() string {
		for {
			a := fmt.Sprintf("%04X", 0x1000+rng.IntN(0xF000))
			if rng.IntN(10) >= 7 {
				a = fmt.Sprintf("%06X", 0x100000+rng.IntN(0xF00000))
			}
			if !taken[a] {
				taken[a] = true
				return a
			}
		}
	}
}

var heartbeats = []int{30, 45, 60, 60, 60, 75, 90, 90}

func newPanel(rng *rand.Rand, account string, o outfit) Panel {
	p := Panel{Account: account, Protocol: ContactID, HeartbeatS: heartbeats[rng.IntN(len(heartbeats))]}
	// SIA-DCS cannot tell gas from carbon monoxide, so gas sites speak Contact ID.
	if !o.gas && rng.IntN(4) == 0 {
		p.Protocol = SIA
	}
	add := func(area int, kind, code, place string) {
		p.Zones = append(p.Zones, Zone{
			Area: fmt.Sprintf("%02d", area), Number: fmt.Sprintf("%03d", len(p.Zones)+1),
			Kind: kind, Code: code, Place: place,
		})
	}
	if o.fire {
		add(1, ZoneFire, "115", "ручной извещатель, вестибюль")
		for range 1 + rng.IntN(4) {
			code := "111"
			if rng.IntN(4) == 0 {
				code = "114"
			}
			add(1, ZoneFire, code, pick(rng, firePlaces))
		}
	}
	if o.panic {
		add(2, ZonePanic, "120", pick(rng, panicPlaces))
	}
	if o.security {
		add(3, ZoneIntrusion, "131", "периметр, окна первого этажа")
		if rng.IntN(2) == 0 {
			add(3, ZoneIntrusion, "132", pick(rng, firePlaces))
		}
	}
	if o.gas {
		add(4, ZoneGas, "151", pick(rng, gasPlaces))
	}
	return p
}

// placer deals districts out in proportion to their weights.
func placer(rng *rand.Rand, ds []District) func() District {
	sum := 0
	edges := make([]int, len(ds))
	for i, d := range ds {
		sum += d.Weight
		edges[i] = sum
	}
	return func() District {
		i, _ := slices.BinarySearchFunc(edges, rng.IntN(sum)+1, cmp.Compare[int])
		return ds[i]
	}
}

// pointIn draws points in the bounding box until one lies within the outline.
// Five decimals are about a metre; the rounded point is the one that is checked.
func pointIn(rng *rand.Rand, r orb.Ring) (lat, lon float64) {
	b := r.Bound()
	for {
		p := orb.Point{
			round5(b.Min.Lon() + rng.Float64()*(b.Max.Lon()-b.Min.Lon())),
			round5(b.Min.Lat() + rng.Float64()*(b.Max.Lat()-b.Min.Lat())),
		}
		if planar.RingContains(r, p) {
			return p.Lat(), p.Lon()
		}
	}
}

func round5(v float64) float64 { return math.Round(v*1e5) / 1e5 }

func pick[T any](rng *rand.Rand, of []T) T { return of[rng.IntN(len(of))] }
