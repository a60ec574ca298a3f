package day

import (
	"context"
	"math/rand/v2"
	"time"
)

// What a mean day brings (the city's yearly figures divided by 365).
const (
	callsPerDay = 10_467 // contacts to 112 without the SMS
	smsPerDay   = 67
	// Of 1,250 notifications a day 42 are passed on for response.
	alarmsPerDay = 42
	noisePerDay  = 1_208
)

// Moments of the first of each kind after the start; a higher speed brings them on.
const (
	firstCall  = 2 * time.Second
	firstNoise = 4 * time.Second
	firstAlarm = 8 * time.Second // a fire; promised within 15 s
	firstText  = 20 * time.Second
)

// stream calls do at random moments with a mean of perDay a day, the first time
// after first; it returns when ctx ends.
func stream(ctx context.Context, rng *rand.Rand, perDay, speed float64, first time.Duration, do func(n int)) {
	mean := 24 * time.Hour.Seconds() / (perDay * speed)
	wait := time.Duration(float64(first) / max(speed, 1))
	for n := 0; ; n++ {
		if !sleep(ctx, wait) {
			return
		}
		do(n)
		// Poisson: calls come in bunches, as they do.
		wait = time.Duration(rng.ExpFloat64() * mean * float64(time.Second))
	}
}

// sleep waits; false when ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	if ctx.Err() != nil {
		return false
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// between draws a duration.
func between(rng *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(rng.Int64N(int64(most-least)))
}
