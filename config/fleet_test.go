package config

import (
	"math"
	"testing"
)

func TestShareOf(t *testing.T) {
	tests := []struct {
		share       Share
		total, want int
	}{
		{"", 27, 27},
		{"", -1, 0},
		{"40", 97, 40},
		{"40", 27, 27},
		{"50%", 27, 13},
		{"100%", 27, 27},
		{"1%", 27, 0},
		{"33%", 262143, 86507},
		{"50%", math.MaxInt, math.MaxInt / 2},
		{"50%", -7, 0},
		{"0", 27, 0},
		{"101%", 27, 0},
		{"half", 27, 0},
	}
	for _, test := range tests {
		if got := test.share.Of(test.total); got != test.want {
			t.Errorf("%q of %d: got %d, want %d", test.share, test.total, got, test.want)
		}
	}
}

func TestShareAbsolute(t *testing.T) {
	for share, want := range map[Share]bool{"40": true, "40%": false, "": false, "0": false, "x": false} {
		if share.Absolute() != want {
			t.Errorf("%q", share)
		}
	}
}

func TestShareIsANumberOrAPercentage(t *testing.T) {
	for share, want := range map[Share]bool{
		"": true, "1": true, "40": true, "262143": true, "1%": true, "100%": true,
		"0": false, "0%": false, "-1": false, "+5": false, "101%": false, "262144": false, "5.5": false,
		"50 %": false, "%": false, "50%%": false, "%50": false, "half": false, "99999999999999999999": false,
	} {
		c := Default()
		c.FleetBudget = share
		if err := c.Validate(); (err == nil) != want {
			t.Errorf("%q: got %v", share, err)
		}
	}
}
