package doctor

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/dbpool-go/dbpool/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m, func() error { return goleak.Find() }) }
