package dashboards

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"sluice/dashboards/query"
)

// headline is a figure at the top of the page.
type headline struct {
	metric, title string
	lower         bool // less of it is good news
}

var headlines = []headline{
	{metric: "visitors", title: "Visitors"},
	{metric: "visits", title: "Visits"},
	{metric: "pageviews", title: "Pageviews"},
	{metric: "views_per_visit", title: "Views per visit"},
	{metric: "engagement_rate", title: "Engagement rate"},
	{metric: "bounce_rate", title: "Bounce rate", lower: true},
	{metric: "visit_duration", title: "Visit duration"},
}

// Figures are the headline of a page.
type Figures struct {
	List   []Figure
	Before string // the period they are compared with
	Failed bool
}

// Figure is one metric with its change against the period before.
type Figure struct {
	Title, Value, Formula string
	Source                string // whose definition it is
	Change                Change
	Path                  string // address of the view whose chart draws it
	Drawn                 bool   // this view's does
}

// askFigures asks for all headline figures of the view and of the period before.
func askFigures(ctx context.Context, db query.Querier, v View, now time.Time) (Figures, error) {
	whole, before := v.before(now)
	out := Figures{Before: dates(whole)}
	if before != whole {
		out.Before += ", as far into it as now"
	}
	q := v.query()
	for _, h := range headlines {
		q.Metrics = append(q.Metrics, metricsOf(h.of(v).metric)...)
	}
	earlier := q
	earlier.From, earlier.To = before.From, before.To
	var is, was query.Result
	ask, ctx := errgroup.WithContext(ctx)
	ask.Go(func() (err error) { is, err = query.Run(ctx, db, q); return err })
	ask.Go(func() (err error) { was, err = query.Run(ctx, db, earlier); return err })
	if err := ask.Wait(); err != nil {
		out.Failed = true
		return out, err
	}
	const visits = 1 // index of the metric that the last three are shares of
	for i, h := range headlines {
		m := q.Metrics[i]
		now, before := is.Rows[0].Metrics, was.Rows[0].Metrics
		moved := change(m.Unit, now[i], before[i], h.lower)
		if m.Unit != query.Count && (now[visits] == 0 || before[visits] == 0) {
			moved = incomparable(now[visits])
		}
		drawing := v
		drawing.Metric = h.metric
		out.List = append(out.List, Figure{
			Title: h.of(v).title, Value: number(m.Unit, is.Rows[0].Metrics[i]), Formula: sentence(m.Formula), Source: m.Source,
			Change: moved, Path: drawing.Path(), Drawn: v.Metric == h.metric,
		})
	}
	return out, nil
}

// incomparable is the change of a share where one of the periods has no visits:
// fewer bounces than before are no good news where nobody came.
func incomparable(visits float64) Change {
	words := "there were no visits before"
	if visits == 0 {
		words = "there are no visits"
	}
	return Change{Text: "–", Words: words, Tone: "same"}
}
