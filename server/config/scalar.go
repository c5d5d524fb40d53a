package config

import (
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Secret is a value that no log line, error or dump may show. Its zero value
// means that none is configured.
type Secret string

const redacted = "[redacted]"

// String hides the secret from fmt.
func (s Secret) String() string { return redacted }

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return redacted }

// LogValue hides the secret from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText hides the secret from encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Reveal returns the secret itself, for the one place that needs it.
func (s Secret) Reveal() string { return string(s) }

// Size is a number of bytes, written with a unit: "512 MiB", "1.5 GiB".
type Size int64

var sizeUnits = map[string]float64{
	"B": 1, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
	"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
}

// UnmarshalText reads a size.
func (s *Size) UnmarshalText(text []byte) error {
	number, unit := splitUnit(string(text))
	n, err := strconv.ParseFloat(number, 64)
	factor, ok := sizeUnits[unit]
	if err != nil || !ok || n < 0 || n*factor > math.MaxInt64/2 {
		return fmt.Errorf("%q is not a size; write a number and a unit, such as 512 MiB or 1.5 GiB", text)
	}
	*s = Size(n * factor)
	return nil
}

// String writes the size in the largest unit that divides it.
func (s Size) String() string {
	for _, unit := range []string{"TiB", "GiB", "MiB", "KiB"} {
		if f := int64(sizeUnits[unit]); s != 0 && int64(s)%f == 0 {
			return fmt.Sprintf("%d %s", int64(s)/f, unit)
		}
	}
	return fmt.Sprintf("%d B", int64(s))
}

// Rate is a number of requests per second, written "200/s", "600/min" or
// "0". Zero means no limit.
type Rate float64

var rateUnits = map[string]float64{"s": 1, "min": 60, "h": 3600}

// UnmarshalText reads a rate.
func (r *Rate) UnmarshalText(text []byte) error {
	number, unit, ok := strings.Cut(string(text), "/")
	n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err == nil && n == 0 && !ok {
		*r = 0
		return nil
	}
	per := rateUnits[strings.TrimSpace(unit)]
	if err != nil || per == 0 || n < 0 || math.IsInf(n, 0) || math.IsNaN(n) {
		return fmt.Errorf("%q is not a rate; write 200/s, 600/min, 1000/h or 0 for none", text)
	}
	*r = Rate(n / per)
	return nil
}

// String writes the rate per second.
func (r Rate) String() string {
	if r == 0 {
		return "0"
	}
	return strconv.FormatFloat(float64(r), 'g', -1, 64) + "/s"
}

// Period is a span of the calendar: "25 months", "180 days", "2 years". It is
// added to a date as a calendar adds it, so that a month is a month.
type Period struct{ Months, Days int }

// UnmarshalText reads a period.
func (p *Period) UnmarshalText(text []byte) error {
	number, unit := splitUnit(string(text))
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 || n > 100_000 {
		return fmt.Errorf("%q is not a period; write 25 months, 180 days or 2 years", text)
	}
	switch strings.TrimSuffix(unit, "s") {
	case "day":
		*p = Period{Days: n}
	case "week":
		*p = Period{Days: 7 * n}
	case "month":
		*p = Period{Months: n}
	case "year":
		*p = Period{Months: 12 * n}
	default:
		return fmt.Errorf("%q is not a period; write 25 months, 180 days or 2 years", text)
	}
	return nil
}

// String writes the period as it is configured.
func (p Period) String() string {
	if p.Days > 0 {
		return fmt.Sprintf("%d days", p.Days)
	}
	return fmt.Sprintf("%d months", p.Months)
}

// After returns the date that lies the period after t.
func (p Period) After(t time.Time) time.Time { return t.AddDate(0, p.Months, p.Days) }

// longerThan compares two periods from one fixed date on, 1 January 2025.
func (p Period) longerThan(q Period) bool {
	from := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	return p.After(from).After(q.After(from))
}

// Network is a range of addresses, written as a prefix ("10.0.0.0/8") or as
// one address.
type Network struct{ netip.Prefix }

// UnmarshalText reads a prefix or an address.
func (n *Network) UnmarshalText(text []byte) error {
	if a, err := netip.ParseAddr(string(text)); err == nil {
		a = a.Unmap().WithZone("")
		n.Prefix = netip.PrefixFrom(a, a.BitLen())
		return nil
	}
	p, err := netip.ParsePrefix(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a network; write 10.0.0.0/8, 2001:db8::/32 or one address", text)
	}
	n.Prefix = p.Masked()
	return nil
}

// Mode is who may read and write a file, in octal as chmod takes it: "0660".
type Mode uint32

// UnmarshalText reads a mode.
func (m *Mode) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 8, 32)
	if err != nil || n == 0 || n > 0o777 {
		return fmt.Errorf("%q is not a mode; write 0660, 0600 or 0666", text)
	}
	*m = Mode(n)
	return nil
}

// String writes the mode in octal.
func (m Mode) String() string { return fmt.Sprintf("%04o", uint32(m)) }

// splitUnit parts "512 MiB" into number and unit.
func splitUnit(s string) (number, unit string) {
	s = strings.TrimSpace(s)
	i := strings.IndexFunc(s, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	if i < 0 {
		return s, ""
	}
	return s[:i], strings.TrimSpace(s[i:])
}
