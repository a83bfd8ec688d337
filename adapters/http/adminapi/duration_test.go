package adminapi

import (
	"testing"
	"time"
)

func TestDuration(t *testing.T) {
	for s, want := range map[string]time.Duration{"0s": 0, "90s": 90 * time.Second, "15m": 15 * time.Minute, "24h": 24 * time.Hour, "90d": 90 * 24 * time.Hour, "106751d": 106751 * 24 * time.Hour} {
		got, err := ParseDuration(s)
		if err != nil || time.Duration(got) != want {
			t.Errorf("%s: %v %v", s, got, err)
		}
	}
	for _, s := range []string{"", "s", "5", "-5s", "+5s", "1.5h", "1h30m", "5 s", "5w", "106752d", "99999999999999999999s", "٣s"} {
		if got, err := ParseDuration(s); err == nil {
			t.Errorf("%q is read as %v", s, got)
		}
	}
	for want, d := range map[string]time.Duration{"0s": 0, "90s": 90 * time.Second, "2d": 48 * time.Hour, "36h": 36 * time.Hour} {
		if got := Duration(d).String(); got != want {
			t.Errorf("%v is written %s, want %s", d, got, want)
		}
	}
}
