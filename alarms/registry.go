package alarms

import (
	"strings"
	"sync/atomic"
	"time"

	"nabat/dispatch"
)

// Facility is a monitored object (объект).
type Facility struct {
	ID       dispatch.FacilityID
	Code     string // the registry's own id
	Name     string
	Category string // education, health, social, other
	Address  string
	District string
	Lat, Lon *float64
	Phone    string
}

func (f *Facility) site() dispatch.Site {
	return dispatch.Site{
		Facility: f.ID, Code: f.Code, Name: f.Name, Category: f.Category,
		Place: f.Address, District: f.District, Lat: f.Lat, Lon: f.Lon,
	}
}

// Panel is the alarm device of a facility (прибор).
type Panel struct {
	ID        dispatch.PanelID
	Account   string
	Protocol  string
	Heartbeat time.Duration // 0: none agreed
	Facility  Facility
	Zones     []Zone
}

// Zone is one detector loop (шлейф).
type Zone struct {
	Area   string // empty: the panel has no areas
	Number string
	Kind   Class
	Place  string
}

// place finds what the registry says of a zone; panels and tables differ in
// leading zeros.
func (p *Panel) place(area, number string) string {
	area, number = strings.TrimLeft(area, "0"), strings.TrimLeft(number, "0")
	for i := range p.Zones {
		z := &p.Zones[i]
		if strings.TrimLeft(z.Number, "0") == number && (z.Area == "" || strings.TrimLeft(z.Area, "0") == area) {
			return z.Place
		}
	}
	return ""
}

// Registry holds the panels in memory by account. Readers never wait: Replace
// swaps the whole of it.
type Registry struct {
	panels atomic.Pointer[map[string]*Panel]
}

// Replace puts other panels in place of all that were there.
func (r *Registry) Replace(panels []Panel) {
	m := make(map[string]*Panel, len(panels))
	for i := range panels {
		m[strings.ToUpper(panels[i].Account)] = &panels[i]
	}
	r.panels.Store(&m)
}

// Panel finds the panel of an account in upper case. The result is shared and
// must not be changed.
func (r *Registry) Panel(account string) (*Panel, bool) {
	m := r.panels.Load()
	if m == nil {
		return nil, false
	}
	p, ok := (*m)[account]
	return p, ok
}

// Len is the number of panels.
func (r *Registry) Len() int {
	if m := r.panels.Load(); m != nil {
		return len(*m)
	}
	return 0
}
