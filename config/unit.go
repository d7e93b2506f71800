package config

import (
	"fmt"
	"strconv"
	"time"
)

// plausible is what a bare number of a variable usually is. One outside is
// accepted, for who is to know, and told of: it looks like another unit's.
type plausible struct {
	least, most float64       // in the variable's unit; 0 is always meant
	small       time.Duration // what a unit was probably meant when it is less
	large       time.Duration // and when it is more
}

// plausibles lists the variables that people set in the wrong unit. Writing the
// unit (500ms) says that it is meant.
func plausibles() map[string]plausible {
	return map[string]plausible{
		"DB_POOL_TIMEOUT":          {0.05, 600, 0, time.Millisecond},
		"DB_POOL_RECYCLE":          {20, 86400, time.Minute, time.Millisecond},
		"DB_CONNECT_TIMEOUT":       {0.05, 300, 0, time.Millisecond},
		"DB_STATEMENT_TIMEOUT":     {1000, 86400e3, time.Second, 0},
		"DB_OVERFLOW_LINGER":       {0, 7200, 0, time.Millisecond},
		"DB_LEAK_THRESHOLD":        {0.05, 36000, 0, time.Millisecond},
		"DB_RECLAIM_AFTER":         {5, 86400, time.Minute, time.Millisecond},
		"DB_READ_WAIT":             {0.001, 60, 0, time.Millisecond},
		"LOG_POOL_STATUS_INTERVAL": {1, 86400, 0, time.Millisecond},
	}
}

// wrongUnits finds bare numbers that look like another unit's.
func wrongUnits(environ map[string]string) (warnings []Problem) {
	for _, v := range Variables() {
		usual, ok := plausibles()[v.Name]
		n, err := strconv.ParseFloat(environ[v.Name], 64)
		if !ok || err != nil || !isBareNumber(environ[v.Name]) || n <= 0 {
			continue
		}
		if w, odd := usual.judge(v, n); odd {
			warnings = append(warnings, w)
		}
	}
	return warnings
}

// wrongUnits finds such numbers in the connection string.
func (d DSN) wrongUnits() (warnings []Problem) {
	said, _ := d.settings()
	for _, p := range []struct{ parameter, value, variable, unit string }{
		{"connect_timeout", said["connect_timeout"], "DB_CONNECT_TIMEOUT", "seconds"},
		{"statement_timeout", statementTimeoutText(said), "DB_STATEMENT_TIMEOUT", "milliseconds"},
	} {
		n, err := strconv.ParseFloat(p.value, 64)
		if err != nil || !isBareNumber(p.value) || n <= 0 {
			continue
		}
		w, odd := plausibles()[p.variable].judge(Variable{Name: p.variable, Unit: p.unit}, n)
		if odd {
			w.Variable, w.Rule = "DATABASE_URL", p.parameter+" "+w.Rule
			w.Remedy = "set " + p.variable + ", which takes a unit, and take it out"
			warnings = append(warnings, w)
		}
	}
	return warnings
}

// judge says what a number means, and what was probably meant.
func (p plausible) judge(v Variable, n float64) (Problem, bool) {
	unit, one := "s", time.Second
	if v.Unit == "milliseconds" {
		unit, one = "ms", time.Millisecond
	}
	number := strconv.FormatFloat(n, 'f', -1, 64)
	w := Problem{Variable: v.Name}
	switch {
	case n < p.least:
		w.Rule = fmt.Sprintf("%s means %s, which is very short", number, time.Duration(n*float64(one)))
		w.Remedy = p.meant(p.small, n)
	case n > p.most:
		w.Rule = fmt.Sprintf("%s means %s, which is very long", number, time.Duration(n*float64(one)))
		w.Remedy = p.meant(p.large, n)
	default:
		return w, false
	}
	w.Remedy += fmt.Sprintf("set %s%s if it is right as it is", number, unit)
	return w, true
}

// meant is the number in the unit that was probably meant.
func (p plausible) meant(unit time.Duration, n float64) string {
	if unit == 0 {
		return ""
	}
	return fmt.Sprintf("set %s if that was meant, or ", shortest(time.Duration(n*float64(unit))))
}

// shortest writes 30s, 5m or 1h rather than 5m0s and 1h0m0s.
func shortest(d time.Duration) string {
	switch {
	case d > 0 && d%time.Hour == 0:
		return fmt.Sprint(int64(d/time.Hour), "h")
	case d > 0 && d%time.Minute == 0:
		return fmt.Sprint(int64(d/time.Minute), "m")
	}
	return d.String()
}
