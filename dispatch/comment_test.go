package dispatch_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"nabat/dispatch"
)

// A refusal's reason must not stand beside «accepted» after the service thought
// better of it; the journal keeps it.
func TestCommentIsOfThePresentState(t *testing.T) {
	t.Parallel()
	c := sent(t, dispatch.Fire)
	var said []string
	for _, step := range []struct {
		to      dispatch.AssignmentState
		comment string
	}{
		{dispatch.Refused, "нет машин"}, {dispatch.Accepted, ""}, {dispatch.EnRoute, "две машины"}, {dispatch.Arrived, ""},
	} {
		after, events, err := dispatch.TakeReply(dispatch.Reply{
			Service: dispatch.Fire, To: step.to, Comment: step.comment, OrderNumber: "Н-1", By: "service:fire", At: noon,
		})(c)
		require.NoError(t, err)
		c = after
		a, _ := c.Assignment(dispatch.Fire)
		require.Equal(t, step.comment, a.Comment, step.to)
		require.Equal(t, "Н-1", a.OrderNumber)
		d, err := events[0].Details()
		require.NoError(t, err)
		said = append(said, d.Comment)
	}
	require.Equal(t, []string{"нет машин", "", "две машины", ""}, said)

	c = apply(t, sent(t, dispatch.Fire), says(dispatch.Fire, dispatch.Accepted))
	c = apply(t, c, dispatch.Cancel("ошибка", "supervisor:a", noon))
	a, _ := c.Assignment(dispatch.Fire)
	require.Empty(t, a.Comment, "what was said to «accepted» is not the reason of the cancellation")
}
