package main

import (
	"encoding/csv"
	"fmt"
	"os"
	"strconv"

	"nabat/simulators/city"
)

// writeTables writes the city as the two tables that `nabat facility import` takes.
func writeTables(town []city.Facility, facilities, accounts string) error {
	fs := [][]string{{"facility_id", "name", "category", "address", "district", "lat", "lon", "phone"}}
	as := [][]string{{"account", "facility_id", "heartbeat_s"}}
	degrees := func(d float64) string { return strconv.FormatFloat(d, 'f', -1, 64) }
	for _, f := range town {
		fs = append(fs, []string{f.Code, f.Name, f.Category, f.Address, f.District, degrees(f.Lat), degrees(f.Lon), f.Phone})
		for _, p := range f.Panels {
			as = append(as, []string{p.Account, f.Code, strconv.Itoa(p.HeartbeatS)})
		}
	}
	if err := writeCSV(facilities, fs); err != nil {
		return err
	}
	return writeCSV(accounts, as)
}

func writeCSV(name string, rows [][]string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := csv.NewWriter(f).WriteAll(rows); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}
