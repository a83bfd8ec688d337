package registry

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/signalbox-dev/signalbox/journal"
)

// NanoPerUSD is how many of the ledger's units one dollar has.
const NanoPerUSD = 1_000_000_000

// usdDecimals is how many digits may stand behind the point.
const usdDecimals = 9

// ParseUSD reads an exact amount of US dollars as nano-USD: digits, and behind a
// point up to nine more. No sign, no exponent, no spaces, no separators: each of
// them has been read two ways by somebody.
func ParseUSD(s string) (int64, error) {
	whole, frac, point := strings.Cut(s, ".")
	if whole == "" || !digits(whole) || point && (frac == "" || !digits(frac)) {
		return 0, fmt.Errorf("%q is not a decimal amount: digits, and up to 9 more behind a point, such as \"12.50\"", clip(s))
	}
	if len(frac) > usdDecimals {
		return 0, fmt.Errorf("%q has %d digits behind the point: up to 9 are exact", clip(s), len(frac))
	}
	dollars, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || dollars > math.MaxInt64/NanoPerUSD {
		return 0, fmt.Errorf("%q is too large: up to 9223372036 dollars can be counted", clip(s))
	}
	nano, _ := strconv.ParseInt(frac+strings.Repeat("0", usdDecimals-len(frac)), 10, 64)
	if dollars*NanoPerUSD > math.MaxInt64-nano {
		return 0, fmt.Errorf("%q is too large: up to 9223372036 dollars can be counted", clip(s))
	}
	return dollars*NanoPerUSD + nano, nil
}

// FormatUSD writes nano-USD as decimal dollars, exactly and without zeros at the
// end: "5000", "0.01234", "-0.000000001".
func FormatUSD(nano int64) string {
	sign, n := "", uint64(nano)
	if nano < 0 {
		sign, n = "-", -uint64(nano)
	}
	whole, frac := n/NanoPerUSD, n%NanoPerUSD
	if frac == 0 {
		return sign + strconv.FormatUint(whole, 10)
	}
	return sign + strconv.FormatUint(whole, 10) + "." + strings.TrimRight(fmt.Sprintf("%09d", frac), "0")
}

// FormatAmount writes an amount in its unit's own spelling: dollars for usd,
// whole numbers for the others.
func FormatAmount(unit journal.Unit, n int64) string {
	if unit == journal.UnitUSD {
		return FormatUSD(n)
	}
	return strconv.FormatInt(n, 10)
}

// ParseAmount reads an amount in its unit's own spelling.
func ParseAmount(unit journal.Unit, s string) (int64, error) {
	if unit == journal.UnitUSD {
		return ParseUSD(s)
	}
	if s == "" || !digits(s) {
		return 0, fmt.Errorf("%q is not a whole number: %s are counted in digits only, such as \"60000\"", clip(s), unit)
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is too large: up to 9223372036854775807 can be counted", clip(s))
	}
	return n, nil
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// clip keeps what somebody wrote short enough to stand in a message.
func clip(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
