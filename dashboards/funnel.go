package dashboards

import (
	"context"

	"sluice/consent"
	"sluice/dashboards/query"
)

// Funnel is how far visits get on one of the site's ways.
type Funnel struct {
	Name   string
	Steps  []Line // each with its visits, and their share of the first and of the step before
	Failed bool
}

// askFunnel asks how many visits took each step.
func askFunnel(ctx context.Context, db query.Querier, v View, f consent.Funnel) (Funnel, error) {
	out := Funnel{Name: f.Name}
	steps, err := query.RunFunnel(ctx, db, v.query(), f)
	if err != nil {
		out.Failed = true
		return out, err
	}
	of := func(n, whole uint64) string {
		if whole == 0 {
			return "–"
		}
		return share(float64(n) / float64(whole))
	}
	for i, s := range steps {
		l := Line{Label: s.Name, Values: []string{thousands(float64(s.Visits)), "", ""}}
		if i > 0 {
			l.Values[1], l.Values[2] = of(s.Visits, steps[0].Visits), of(s.Visits, steps[i-1].Visits)
		}
		l.Width = 100 * float64(s.Visits) / float64(max(steps[0].Visits, 1))
		out.Steps = append(out.Steps, l)
	}
	return out, nil
}
