package routing

import (
	"context"
	"errors"
)

// writeDeadLetter insists until the letter is written, or until ctx ends. A
// letter that the broker refuses as a whole is sent again cut short.
func writeDeadLetter(ctx context.Context, p Producer, n *nuisance, id string, d DeadLetter) error {
	m, err := deadMessage(id, d)
	if err != nil {
		return err
	}
	return insist(ctx, n, func() error {
		err := p.Publish(ctx, []Message{m})[0]
		if errors.Is(err, ErrRefused) && !d.Truncated {
			d.Truncated = true
			if m, err = deadMessage(id, d); err != nil {
				return err
			}
			err = p.Publish(ctx, []Message{m})[0]
		}
		return err
	})
}
