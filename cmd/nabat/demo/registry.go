package demo

import (
	"time"

	"nabat/alarms"
	"nabat/simulators/city"
)

// registry is the made-up city as the alarm side keeps it.
func registry(facilities []city.Facility) []alarms.Panel {
	var out []alarms.Panel
	for _, f := range facilities {
		lat, lon := f.Lat, f.Lon
		for _, p := range f.Panels {
			panel := alarms.Panel{
				Account: p.Account, Protocol: p.Protocol, Heartbeat: time.Duration(p.HeartbeatS) * time.Second,
				Facility: alarms.Facility{
					Code: f.Code, Name: f.Name, Category: f.Category, Address: f.Address, District: f.District,
					Lat: &lat, Lon: &lon, Phone: f.Phone,
				},
			}
			for _, z := range p.Zones {
				panel.Zones = append(panel.Zones, alarms.Zone{Area: z.Area, Number: z.Number, Kind: alarms.Class(z.Kind), Place: z.Place})
			}
			out = append(out, panel)
		}
	}
	return out
}
