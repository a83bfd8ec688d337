package adminapi

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// Duration is a time span as users write it: a whole number and s, m, h or d.
type Duration time.Duration

var durationUnits = []struct {
	suffix byte
	unit   time.Duration
}{{'d', 24 * time.Hour}, {'h', time.Hour}, {'m', time.Minute}, {'s', time.Second}}

// ParseDuration reads 90s, 15m, 24h or 90d. A day is 24 hours.
func ParseDuration(s string) (Duration, error) {
	if s != "" {
		for _, u := range durationUnits {
			if s[len(s)-1] != u.suffix {
				continue
			}
			n, err := strconv.ParseUint(s[:len(s)-1], 10, 63)
			if err == nil && n <= uint64(math.MaxInt64/u.unit) {
				return Duration(time.Duration(n) * u.unit), nil
			}
		}
	}
	if len(s) > 32 {
		s = s[:32] + "…"
	}
	return 0, fmt.Errorf("%q is not a duration: want a whole number and s, m, h or d, such as 90d", s)
}

// String is the duration in the largest unit that divides it.
func (d Duration) String() string {
	for _, u := range durationUnits {
		if d != 0 && time.Duration(d)%u.unit == 0 {
			return strconv.FormatInt(int64(time.Duration(d)/u.unit), 10) + string(u.suffix)
		}
	}
	return strconv.FormatInt(int64(time.Duration(d)/time.Second), 10) + "s"
}

// Set and Type make it a command line flag.
func (d *Duration) Set(s string) (err error) { *d, err = ParseDuration(s); return err }
func (d *Duration) Type() string             { return "duration" }

// MarshalText and UnmarshalText make it a JSON string.
func (d Duration) MarshalText() ([]byte, error)  { return []byte(d.String()), nil }
func (d *Duration) UnmarshalText(b []byte) error { return d.Set(string(b)) }
