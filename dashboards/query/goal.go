package query

import (
	"context"
	"fmt"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"sluice/consent"
)

// reached is the condition that an event reaches a goal.
func (b *builder) reached(g consent.Goal) string {
	prefix, wild := strings.CutSuffix(g.Path, "*")
	switch {
	case g.Event != "":
		return "name = " + b.bind(g.Event)
	case wild:
		return "(name = 'pageview' AND startsWith(path, " + b.bind(prefix) + "))"
	}
	return "(name = 'pageview' AND path = " + b.bind(g.Path) + ")"
}

// anyGoal is how many of a visit's events reach a goal of the site.
func (b *builder) anyGoal() string {
	if len(b.q.Goals) == 0 {
		return "0"
	}
	var conditions []string
	for _, g := range b.q.Goals {
		conditions = append(conditions, b.reached(g))
	}
	return "countIf(" + strings.Join(conditions, " OR ") + ")"
}

// goalNames makes a row of each goal that an event reaches, and none of an
// event that reaches none.
func (b *builder) goalNames() string {
	var names []string
	for _, g := range b.q.Goals {
		names = append(names, fmt.Sprintf("if(%s, %s, '')", b.reached(g), b.bind(g.Name)))
	}
	return "arrayJoin(arrayFilter(g -> g != '', CAST([" + strings.Join(names, ", ") + "], 'Array(String)')))"
}

// isGoal is the condition that an event reaches one of the goals called so; a
// name that the site does not have is never reached.
func (b *builder) isGoal(names []string) string {
	conditions := []string{"false"}
	for _, name := range names {
		for _, g := range b.q.Goals {
			if g.Name == name {
				conditions = append(conditions, b.reached(g))
			}
		}
	}
	return "(" + strings.Join(conditions, " OR ") + ")"
}

// everyone counts the visitors of the period under all filters but those about
// goals, which are what a conversion rate is a share of.
func (b *builder) everyone() string {
	touching := b.touching
	b.touching = Filter{} // which would leave only visits with the goal
	defer func() { b.touching = touching }()
	return statement("by_event",
		"columns", "uniqExact(visitor_id)",
		"join", "",
		"conditions", b.where(b.ofEvents, b.q.Filter.withoutGoals()),
		"grouping", "")
}

// withoutGoals leaves out what a filter demands of goals.
func (f Filter) withoutGoals() Filter {
	var rest []Filter
	for _, p := range f.sides() {
		if !p.aboutGoals() {
			rest = append(rest, p)
		}
	}
	return All(rest...)
}

// aboutGoals reports whether a comparison of f is about goals.
func (f Filter) aboutGoals() bool {
	for _, d := range f.dimensions() {
		if d.goal {
			return true
		}
	}
	return false
}

// Step is a step of a funnel and how many visits took it.
type Step struct {
	Name   string
	Visits uint64
}

// RunFunnel answers how far the visits that begin in q's period get in a
// funnel; q's metrics and dimensions are not looked at. A visit that took a step
// has taken those before it. Errors: ErrUnavailable.
func RunFunnel(ctx context.Context, db Querier, q Query, f consent.Funnel) ([]Step, error) {
	b := &builder{q: q, args: q.parameters()}
	steps := make([]string, len(f.Steps))
	out := make([]Step, len(f.Steps))
	for i, g := range f.Steps {
		steps[i], out[i].Name = b.reached(g), g.Name
	}
	b.touching, b.rest = q.Filter.split()
	text := statement("funnel",
		"steps", strings.Join(steps, ", "),
		"visits", b.visits(q.Filter.dimensions()),
		"conditions", b.where(b.ofVisits, b.rest)) // visits.sql sees to touching
	err := each(ctx, db, text, b.args, func(rows driver.Rows) error {
		var level uint8
		var visits uint64
		if err := rows.Scan(&level, &visits); err != nil {
			return err
		}
		for i := range min(int(level), len(out)) {
			out[i].Visits += visits
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("query funnel %s of %s: %w", f.Name, q.Site, err)
	}
	return out, nil
}
