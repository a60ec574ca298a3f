package operator

// board is the open incidents as the server told them.
type board struct {
	epoch string
	seq   int64
	cards map[string]Card
}

// take applies a frame. resync tells that something was missed and a snapshot
// must be asked for; changed lists the cards that are new or different.
func (b *board) take(f frame) (changed []Card, resync bool) {
	switch f.T {
	case "snapshot":
		b.epoch, b.seq = f.Epoch, f.Seq
		b.cards = make(map[string]Card, len(f.Incidents))
		for _, c := range f.Incidents {
			b.cards[c.ID] = c
		}
		return f.Incidents, false
	case "delta":
		if b.cards == nil || f.Epoch != b.epoch || f.Prev != b.seq {
			return nil, true
		}
		b.seq = f.Seq
		for _, c := range f.Incidents {
			if c.State == "closed" || c.State == "cancelled" {
				delete(b.cards, c.ID)
			} else {
				b.cards[c.ID] = c
			}
		}
		return f.Incidents, false
	case "beat":
		// A beat that is ahead of us in the same life of the server is no gap:
		// what we may not see advances the number too.
		return nil, b.cards != nil && f.Epoch != b.epoch
	}
	return nil, false
}
