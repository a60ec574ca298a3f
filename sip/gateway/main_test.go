package gateway

import (
	"testing"

	"nabat/dispatch/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) } // looks for leaked goroutines too
