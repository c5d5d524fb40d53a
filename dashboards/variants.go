package dashboards

import (
	"context"
	"fmt"

	"sluice/consent"
	"sluice/dashboards/query"
)

// Variants compares the banners that were drawn for visitors.
type Variants struct {
	Purposes []string // heads of the columns after shown and decisions
	Lines    []Line
}

// askVariants reads how often each variant of the banner was shown, answered
// and agreed to. counts are those of the period.
func askVariants(ctx context.Context, db query.Querier, v View, counts query.Counts, purposes []consent.Purpose) (Variants, error) {
	answers, err := query.Variants(ctx, db, v.Site.Domain, v.span)
	if err != nil {
		return Variants{}, err
	}
	var out Variants
	for _, p := range purposes {
		out.Purposes = append(out.Purposes, purposeName(v.Site, p))
	}
	for _, variant := range v.Site.Drawn() {
		label := variant
		if variant == consent.UsualVariant {
			label = "The usual banner"
		}
		l := Line{Label: visible(label), Values: []string{atLeast(counts[consent.CountView][consent.ViewVariant+variant])}}
		var decisions uint64
		for _, o := range answers[variant] {
			decisions = max(decisions, o.Decisions)
		}
		l.Values = append(l.Values, atLeast(decisions))
		for _, p := range purposes {
			l.Values = append(l.Values, interval(answers[variant][p]))
		}
		out.Lines = append(out.Lines, l)
	}
	return out, nil
}

// interval is a rate with its interval of 95 %.
func interval(o query.OptIn) string {
	if o.Decisions < SmallCell {
		return "too few"
	}
	low, high := o.Interval()
	return fmt.Sprintf("%s (%.0f–%.0f)", share(float64(o.Grants)/float64(o.Decisions)), 100*low, 100*high)
}
