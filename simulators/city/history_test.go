package city_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nabat/simulators/city"
)

var day = time.Date(2026, 3, 1, 21, 0, 0, 0, time.UTC)

func TestHistoryCounts(t *testing.T) {
	t.Parallel()
	facts := city.History(city.DemoSeed, day)
	stories := map[int][]city.Fact{}
	notices, urgent := 0, 0
	accounts := map[string]bool{}
	for _, f := range city.Demo() {
		accounts[f.Panels[0].Account] = true
	}
	for i, f := range facts {
		if i > 0 {
			require.False(t, f.At.Before(facts[i-1].At), "facts are in the order of time")
		}
		require.False(t, f.At.Before(day))
		require.True(t, f.At.Before(day.Add(24*time.Hour)), "%s ends %s", f.What, f.At)
		if f.Notice != nil {
			notices++
			require.True(t, accounts[f.Notice.Account])
			if f.Notice.Urgent {
				urgent++
			}
		}
		if f.Story != 0 {
			stories[f.Story] = append(stories[f.Story], f)
		}
	}
	require.Len(t, stories, city.HistoryIncidents)
	require.Equal(t, city.HistoryNotices, notices)
	require.Equal(t, 42, urgent)
}

// Every story begins with a signal, ends closed, and its services go through
// their statuses in order.
func TestHistoryStoriesAreWhole(t *testing.T) {
	t.Parallel()
	stories := map[int][]city.Fact{}
	for _, f := range city.History(1, day) {
		if f.Story != 0 {
			stories[f.Story] = append(stories[f.Story], f)
		}
	}
	order := []string{"received", "accepted", "en_route", "arrived", "working", "completed"}
	dismissed := 0
	for n, facts := range stories {
		require.Contains(t, []city.What{city.Called, city.Texted, city.Notified}, facts[0].What)
		ended := 0
		step := map[string]int{}
		sent := facts[0].What == city.Notified
		for _, f := range facts {
			switch f.What {
			case city.Sent:
				require.NotEmpty(t, f.Form.Type)
				require.NotEmpty(t, f.Form.Place)
				sent = true
			case city.Dismissed:
				dismissed++
				ended++
			case city.Closed:
				ended++
				for s, at := range step {
					require.Equal(t, len(order), at, "story %d: %s has not finished", n, s)
				}
			case city.Replied:
				require.True(t, sent, "a reply before the card was sent on")
				require.Equal(t, step[f.Reply.Service], slices.Index(order, f.Reply.Status))
				step[f.Reply.Service]++
			default:
			}
		}
		require.Equal(t, 1, ended, "story %d", n)
	}
	require.InDelta(t, 0.42*258, dismissed, 30)
}

func TestHistoryIsDeterministic(t *testing.T) {
	t.Parallel()
	first := city.History(5, day)
	require.Equal(t, first, city.History(5, day))
	require.NotEqual(t, city.History(5, day), city.History(6, day))
}
