package console_test

import (
	"testing"

	"nabat/dispatch/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }
