package dashboards

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"sluice/consent"
	"sluice/dashboards/query"
)

// Report is everything that a site's page shows.
type Report struct {
	View     View
	Dates    string
	Partial  bool // the period has not ended yet
	Figures  Figures
	Chart    Chart
	Tables   []Table
	Funnels  []Funnel
	Fared    Fared
	Consents Consents
	Forwards Forwards
	Accounts *Accounts // nil where nobody counts
}

// Bounds of one page's queries: two cores answer three at a time no slower than
// one after the other, and a page that takes longer than this is of no use. It
// has to end before the server gives up writing (15 s), or nobody is told why.
const (
	panelsAtOnce = 3
	pageTime     = 10 * time.Second
)

// report fills the page of a view. Where ClickHouse cannot compile one of its
// patterns, they are not in effect.
func (h *Handler) report(ctx context.Context, v View, p *consent.Policy) Report {
	ctx, cancel := context.WithTimeout(ctx, h.pageTime)
	defer cancel()
	r, ok := h.askAll(ctx, v, p)
	if !ok {
		r, _ = h.askAll(ctx, v.withoutPatterns(), p)
	}
	return r
}

// askAll asks for every panel of a view, several at a time. A panel whose query
// fails says so; the others are not affected. ok is false where a filter was
// refused.
func (h *Handler) askAll(ctx context.Context, v View, p *consent.Policy) (r Report, ok bool) {
	now := h.now()
	v.eventsAlone = h.eventsAlone(ctx, v)
	r = Report{View: v, Dates: dates(v.span), Partial: now.Before(v.span.To)}

	var group errgroup.Group
	group.SetLimit(panelsAtOnce)
	var refused atomic.Bool
	ask := func(name string, fn func() error) {
		group.Go(func() error {
			var filter *consent.FieldError
			if err := fn(); errors.As(err, &filter) {
				refused.Store(true)
			} else if err != nil {
				h.log.ErrorContext(ctx, "panel failed", "panel", name, "site", v.Site.Domain, "err", err)
			}
			return nil
		})
	}
	if v.Panel != "" {
		one, _ := findPanel(v.Panel)
		r.Tables = make([]Table, 1)
		ask(one.key, func() (err error) { r.Tables[0], err = one.ask(ctx, h.db, v); return err })
		h.wait(&group)
		return r, !refused.Load()
	}
	ask("headline", func() (err error) { r.Figures, err = askFigures(ctx, h.db, v, now); return err })
	ask("chart", func() (err error) { r.Chart, err = askChart(ctx, h.db, v, now); return err })
	r.Tables = make([]Table, len(panels))
	for i, one := range panels {
		if one.key == "goals" && len(v.Site.Goals) == 0 {
			r.Tables[i] = Table{optional: true}
			continue
		}
		if one.event != "" {
			continue
		}
		ask(one.key, func() (err error) { r.Tables[i], err = one.ask(ctx, h.db, v); return err })
	}
	ask("measured", func() error { return askTogether(ctx, h.db, v, r.Tables) })
	if !v.eventsAlone {
		ask("fared", func() (err error) { r.Fared, err = askFared(ctx, h.db, v); return err })
	}
	r.Funnels = make([]Funnel, len(v.Site.Funnels))
	for i, f := range v.Site.Funnels {
		ask("funnel", func() (err error) { r.Funnels[i], err = askFunnel(ctx, h.db, v, f); return err })
	}
	ask("consent", func() (err error) { r.Consents, err = askConsents(ctx, h.db, v, purposesOf(p)); return err })
	ask("forwards", func() (err error) {
		r.Forwards, err = askForwards(ctx, h.db, v, h.waiting(v.Site.Domain), now)
		return err
	})
	r.Accounts = accounts(h.balance(v.Site.Domain), v.zone())
	h.wait(&group)
	return r, !refused.Load()
}

// wait waits for every panel. None returns an error: each has shown its own.
func (h *Handler) wait(group *errgroup.Group) {
	if err := group.Wait(); err != nil {
		h.log.Error("panels", "err", err)
	}
}

func purposesOf(p *consent.Policy) []consent.Purpose {
	var out []consent.Purpose
	for _, q := range p.Current.Purposes {
		if q.Name != consent.Essential {
			out = append(out, q.Name)
		}
	}
	return out
}

// Summary is one site in the list of all.
type Summary struct {
	Domain, Path string
	Visitors     string
	Change       Change
	Sparkline    string
	Failed       bool
}

// summaries asks for the last 30 days of every site.
func (h *Handler) summaries(ctx context.Context, sites []*consent.Site) []Summary {
	ctx, cancel := context.WithTimeout(ctx, h.pageTime)
	defer cancel()
	now := h.now()
	out := make([]Summary, len(sites))
	var group errgroup.Group
	group.SetLimit(panelsAtOnce)
	for i, site := range sites {
		group.Go(func() error {
			var err error
			if out[i], err = summarise(ctx, h.db, site, now); err != nil {
				h.log.LogAttrs(ctx, slog.LevelError, "panel failed", slog.String("panel", "sites"), slog.String("site", site.Domain), slog.Any("err", err))
			}
			return nil
		})
	}
	h.wait(&group)
	return out
}

func summarise(ctx context.Context, db query.Querier, site *consent.Site, now time.Time) (Summary, error) {
	s := Summary{Domain: site.Domain, Path: sitePath(site.Domain), Failed: true}
	v := ReadView(site, nil, now)
	q := v.query()
	q.Metrics = metricsOf("visitors")
	_, before := v.before(now)
	is, err := query.Run(ctx, db, q)
	if err != nil {
		return s, err
	}
	daily := q
	daily.Dimensions = dimensionsOf("time:day")
	days, err := query.Run(ctx, db, daily)
	if err != nil {
		return s, err
	}
	q.From, q.To = before.From, before.To
	was, err := query.Run(ctx, db, q)
	if err != nil {
		return s, err
	}
	values := map[string]float64{}
	for _, row := range days.Rows {
		values[row.Dimensions[0]] = row.Metrics[0]
	}
	labels, _ := v.span.Labels("time:day")
	line := make([]float64, len(labels))
	for i, label := range labels {
		line[i] = values[label]
	}
	s.Failed = false
	s.Visitors = thousands(is.Rows[0].Metrics[0])
	s.Change = change(query.Count, is.Rows[0].Metrics[0], was.Rows[0].Metrics[0], false)
	s.Sparkline = sparkline(line)
	return s, nil
}
