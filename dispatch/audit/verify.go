package audit

import (
	"context"
	"fmt"
	"math"
	"time"

	"nabat/dispatch"
)

// Cards lists every incident's id, version and head, in any order.
type Cards interface {
	Heads(ctx context.Context, each func(id dispatch.IncidentID, version int, head [32]byte) error) error
}

// Report is what a verification found.
type Report struct {
	Events    int64
	Incidents int64
	Heads     int
	// FirstHead and LastHead are when the first and the last head were signed;
	// zero: there is none.
	FirstHead, LastHead time.Time
	Erased              int64 // lines whose data were erased
	Broken              []Broken
}

// Broken is one broken link.
type Broken struct {
	Seq      int64 // 0: not one line's
	Incident dispatch.IncidentID
	Version  int
	What     string
}

func (b Broken) String() string {
	s := b.What
	if !b.Incident.IsZero() {
		s = fmt.Sprintf("incident %s version %d: %s", b.Incident, b.Version, s)
	}
	if b.Seq != 0 {
		s = fmt.Sprintf("line %d: %s", b.Seq, s)
	}
	return s
}

// maxBroken bounds the report: one broken link may break many.
const maxBroken = 100

type tip struct {
	version int
	head    [32]byte
}

// Verify walks the whole journal, compares each incident with its last line and
// the journal with the signed heads. The journal and the cards must be of one
// moment, and the heads read before it. The error is about reading, not about
// what was found.
func Verify(ctx context.Context, j Journal, cards Cards, heads []Head) (Report, error) {
	rep := Report{Heads: len(heads)}
	if len(heads) > 0 {
		rep.FirstHead, rep.LastHead = heads[0].At, heads[len(heads)-1].At
	}
	tips := map[dispatch.IncidentID]tip{}
	broken := func(b Broken) {
		if len(rep.Broken) < maxBroken {
			rep.Broken = append(rep.Broken, b)
		}
	}
	var r running
	due := heads
	// From the very first number that there can be, not that there should be: readers
	// of one card would believe a line that was put before the journal's begin.
	for after := int64(math.MinInt64); ; {
		events, err := j.Events(ctx, after, chunk)
		if err != nil {
			return rep, err
		}
		for _, e := range events {
			after = e.Seq
			if e.Seq <= 0 {
				broken(Broken{Seq: e.Seq, Incident: e.Incident, Version: e.Version, What: "stands before the journal's begin"})
			}
			due = compareHeads(due, &r, e.Seq, broken)
			t := tips[e.Incident]
			if what := checkLine(e, t); what != "" {
				broken(Broken{Seq: e.Seq, Incident: e.Incident, Version: e.Version, What: what})
			}
			tips[e.Incident] = tip{e.Version, e.Hash}
			r.add(e.Seq, e.Hash)
			if e.Data == nil {
				rep.Erased++
			}
		}
		if len(events) < chunk {
			break
		}
	}
	compareHeads(due, &r, 1<<62, broken)
	rep.Events, rep.Incidents = r.events, int64(len(tips))
	if r.events > 0 && len(heads) == 0 {
		broken(Broken{What: "there is no signed head outside the database"})
	}
	err := cards.Heads(ctx, func(id dispatch.IncidentID, version int, head [32]byte) error {
		t, ok := tips[id]
		delete(tips, id)
		switch {
		case !ok:
			broken(Broken{Incident: id, Version: version, What: "the card has no line in the journal"})
		case t.version > version:
			broken(Broken{Incident: id, Version: version, What: fmt.Sprintf("the journal goes on to version %d", t.version)})
		case t.version < version:
			broken(Broken{Incident: id, Version: version, What: fmt.Sprintf("the journal ends at version %d", t.version)})
		case t.head != head:
			broken(Broken{Incident: id, Version: version, What: "the card's head is not its last line's hash"})
		}
		return nil
	})
	if err != nil {
		return rep, err
	}
	for id, t := range tips {
		broken(Broken{Incident: id, Version: t.version, What: "the card is gone"})
	}
	return rep, nil
}

func checkLine(e dispatch.Event, before tip) string {
	switch {
	case e.Version != before.version+1:
		return fmt.Sprintf("follows version %d: a line is missing or doubled", before.version)
	case e.Prev != before.head:
		return "does not follow the line before it"
	case e.ComputeHash() != e.Hash:
		return "was altered"
	case !e.DataIntact():
		return "its data were altered"
	}
	return ""
}

// compareHeads checks the heads that the walk has reached before line next, and
// returns those still to come.
func compareHeads(due []Head, r *running, next int64, broken func(Broken)) []Head {
	for len(due) > 0 && due[0].Seq < next {
		h := due[0]
		due = due[1:]
		if got := r.head(h.At); got.Seq != h.Seq || got.Events != h.Events || got.Digest != h.Digest {
			broken(Broken{What: fmt.Sprintf(
				"the head signed at %s covers %d lines up to %d, the journal has %d lines up to %d there or other ones: lines were removed or replaced",
				h.At.Format(time.RFC3339), h.Events, h.Seq, got.Events, got.Seq)})
		}
	}
	return due
}

// CheckChain verifies one incident's lines from the first on.
func CheckChain(events []dispatch.Event) error {
	var t tip
	for _, e := range events {
		if what := checkLine(e, t); what != "" {
			return fmt.Errorf("version %d %s", e.Version, what)
		}
		t = tip{e.Version, e.Hash}
	}
	return nil
}
