package query

import (
	"fmt"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/collector/store/storetest"
	"sluice/consent"
)

// TestInterval compares with intervals that were worked out by hand from
// Wilson's formula; 81 of 263 is the example of R. G. Newcombe, "Two-sided
// confidence intervals for the single proportion", Statistics in Medicine 17
// (1998), table I.
func TestInterval(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		o         OptIn
		low, high float64
	}{
		{OptIn{81, 263}, 0.2553, 0.3662},
		{OptIn{15, 148}, 0.0624, 0.1605},
		{OptIn{0, 20}, 0, 0.1611},
		{OptIn{1, 29}, 0.0061, 0.1718},
		{OptIn{20, 20}, 0.8389, 1},
		{OptIn{0, 0}, 0, 1},
	} {
		low, high := tt.o.Interval()
		if math.Abs(low-tt.low) > 0.0001 || math.Abs(high-tt.high) > 0.0001 {
			t.Errorf("%d of %d: %.4f to %.4f, want %.4f to %.4f", tt.o.Grants, tt.o.Decisions, low, high, tt.low, tt.high)
		}
	}
}

// TestVariants reads a day's answers to two banners, beside what answers none.
func TestVariants(t *testing.T) {
	t.Parallel()
	conn := storetest.Open(t).Conn()
	day, err := Dates("2026-10-25", "2026-10-25", berlin)
	if err != nil {
		t.Fatal(err)
	}
	const noon, yes, no = "2026-10-25 12:00:00.000", "{'analytics':true,'media':false}", "{'analytics':false,'media':false}"
	for i, r := range [][5]string{
		{"known.example", noon, "usual", "accept_all", yes},
		{"known.example", noon, "usual", "reject_all", no},
		{"known.example", noon, "usual", "reject_all", no},
		{"known.example", noon, "short", "custom", yes},
		{"known.example", noon, "usual", "withdraw", no},
		{"known.example", noon, "", "custom", yes},
		{"known.example", "2026-10-24 21:59:59.999", "short", "accept_all", yes},
		{"known.example", "2026-10-25 23:00:00.000", "short", "accept_all", yes},
		{"other.example", noon, "short", "accept_all", yes},
	} {
		insert := fmt.Sprintf(`INSERT INTO receipts (n, site, ts, variant, method, purposes, keep_until) VALUES
			(%d, '%s', '%s', '%s', '%s', %s, '2100-01-01')`, i, r[0], r[1], r[2], r[3], r[4])
		if err := conn.Exec(t.Context(), insert); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Variants(t.Context(), conn, "known.example", day)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]map[consent.Purpose]OptIn{
		"usual": {consent.Analytics: {1, 3}, consent.Media: {0, 3}},
		"short": {consent.Analytics: {1, 1}, consent.Media: {0, 1}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
}
