package kafka

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kzap"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// The client calls every end of its group an error, a normal stop included.
func TestTheEndOfAGroupIsNoError(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.DebugLevel)
	l := clientLog{kzap.New(zap.New(core))}
	l.Log(kgo.LogLevelError, groupLost, "err", errors.New("client closed"))
	require.Zero(t, logs.Len())
	l.Log(kgo.LogLevelError, "something else", "err", errors.New("boom"))
	require.Equal(t, 1, logs.Len())
}
