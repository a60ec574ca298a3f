package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
)

// report is everything that was measured.
type report struct {
	Machine  machine       `json:"machine"`
	Kafka    *kafkaFigures `json:"wireToKafka,omitempty"`
	Alarms   *alarmFigures `json:"alarms,omitempty"`
	Calls    *callFigures  `json:"calls,omitempty"`
	Problems []string      `json:"problems"`
	Seconds  float64       `json:"seconds"`
}

func newReport() *report { return &report{Machine: thisMachine(), Problems: []string{}} }

func (r *report) problem(format string, args ...any) {
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

func (r *report) writeJSON(name string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(text, '\n'), 0o644) //nolint:gosec // figures are no secret
}

// print writes the table for a person.
func (r *report) print(out io.Writer) {
	m := r.Machine
	fmt.Fprintf(out, "\n%d × %s, %.1f GiB, %s, PostgreSQL %s (fsync on), %s; load %.2f → %.2f; %.0f s\n",
		m.Cores, m.CPU, m.MemoryGiB, m.OS, m.PostgreSQL, m.Go, m.LoadBefore, m.LoadAfter, r.Seconds)
	fmt.Fprintln(out, "медиана [наименьшее … наибольшее] по отрезкам / median [lowest … highest] of the slices")
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if r.Alarms != nil {
		r.Alarms.print(t)
	}
	if r.Calls != nil {
		r.Calls.print(t)
	}
	if r.Kafka != nil {
		r.Kafka.print(t)
	}
	t.Flush()
	fmt.Fprintln(out)
	for _, p := range r.Problems {
		fmt.Fprintln(out, "БЕДА / PROBLEM:", p)
	}
	if len(r.Problems) == 0 {
		fmt.Fprintln(out, "потерь и удвоений нет / nothing lost, nothing doubled")
	}
}

func head(t io.Writer, ru, en string) { fmt.Fprintf(t, "\n%s / %s\n", ru, en) }

func row(t io.Writer, ru, en string, format string, args ...any) {
	fmt.Fprintf(t, "  %s\t%s\t%s\n", ru, en, fmt.Sprintf(format, args...))
}

func (s spread) rate() string { return fmt.Sprintf("%.0f/s [%.0f … %.0f]", s.Median, s.Min, s.Max) }

func (s spread) share() string { return fmt.Sprintf("%.2f [%.2f … %.2f]", s.Median, s.Min, s.Max) }

func (l latency) String() string {
	return fmt.Sprintf("p50 %.1f  p95 %.1f  p99 %.1f  max %.1f ms", l.P50, l.P95, l.P99, l.Max)
}

func (a *alarmFigures) print(t io.Writer) {
	for _, n := range []struct {
		name string
		m    mill
	}{{"TCP", a.TCP}, {"UDP", a.UDP}} {
		head(t, fmt.Sprintf("Извещения, %s, %d соединений", n.name, a.Connections), fmt.Sprintf("Alarms acknowledged after the commit, %s, %d connections", n.name, a.Connections))
		row(t, "движок", "engine", "%s", n.m.PerSecond.rate())
		row(t, "E: голый ответчик", "E: bare responder", "%s", n.m.Bare.rate())
		row(t, "C: голый COPY", "C: bare COPY", "%s (batches of %.0f, %d writers)", n.m.Copy.rate(), n.m.Batch, a.Writers)
		row(t, "потолок 1/(1/E+1/C)", "ceiling", "%s", n.m.Ceiling.rate())
		row(t, "доля потолка", "ratio", "%s", n.m.Ratio.share())
		row(t, "ACK на полном ходу", "ACK at full rate", "%s", n.m.Latency)
		row(t, "время процессора на одно", "processor time of one", "%s", n.m.Cost)
		if n.m.Again > 0 {
			row(t, "послано повторно", "sent again", "%d", n.m.Again)
		}
	}
	head(t, "Извещения, TCP, 70 % от наибольшего", "Alarms, TCP, 70 % of the maximum")
	row(t, "движок", "engine", "%s of %.0f/s offered", a.Paced.PerSecond.rate(), a.Paced.Offered)
	row(t, "ACK", "ACK", "%s", a.Paced.Latency)
	head(t, "Сверено с базой", "Checked against the database")
	row(t, "подтверждено", "acknowledged", "%d, of them %d alarms, %d cards; repeats %d", a.Acked, a.Alarms, a.Cards, a.Repeats)
	row(t, "Kafka отставала", "relay behind, at worst", "%d journal lines at the end of a slice", a.Behind)
}

func (k *kafkaFigures) print(t io.Writer) {
	head(t, "От провода до Kafka", "From the wire to Kafka: fire alarm sent → record read")
	for _, r := range k.Rates {
		row(t, fmt.Sprintf("%d в секунду", r.PerSecond), fmt.Sprintf("%d/s", r.PerSecond), "%s (ACK p50 %.1f p99 %.1f)", r.Latency, r.Ack.P50, r.Ack.P99)
	}
	row(t, "одна запись в базу", "one durable commit", "%s", k.Commit)
	row(t, "одна запись в Kafka", "one produce-and-wait", "%s", k.Produce)
	row(t, "вместе", "both", "p50 %.1f  p99 %.1f ms", k.FloorP50, k.FloorP99)
}
