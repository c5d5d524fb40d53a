package dashboards

import (
	"context"
	"slices"
	"time"

	"sluice/dashboards/query"
)

// bucket is a part of a period. Those of a period follow each other without a
// gap: the first begins with the period and the last ends with it, however
// early its week began or late its month ends.
type bucket struct {
	name       string // as rows have it; two hours share one where clocks go back
	start, end time.Time
}

// midnight is the first moment of a day of the site's calendar, which is not
// 00:00 where clocks skip that. Days and months out of range carry over.
func midnight(year int, month time.Month, day int, zone *time.Location) time.Time {
	of, _ := query.Named(query.PeriodDay, zone, time.Date(year, month, day, 12, 0, 0, 0, zone), time.Time{})
	return of.From
}

// buckets cuts a period by a time dimension.
func buckets(p query.Period, dimension string) []bucket {
	names, _ := p.Labels(dimension) // at most a few hundred: View.bucket looks at the length of the period
	out := make([]bucket, len(names))
	start := p.From
	for i, name := range names {
		out[i] = bucket{name, start, p.To}
		if i+1 < len(names) {
			start = next(start, dimension, names[i+1])
			out[i].end = start
		}
	}
	return out
}

// next is when the bucket of a name begins, which follows the one that begins
// at start.
func next(start time.Time, dimension, name string) time.Time {
	if dimension == "time:hour" { // the name may be that of two hours
		return start.Add(time.Hour - time.Duration(start.Minute())*time.Minute - time.Duration(start.Second())*time.Second)
	}
	day, err := time.Parse(time.DateOnly, name)
	if err != nil {
		return start
	}
	return midnight(day.Year(), day.Month(), day.Day(), start.Location())
}

// inBuckets returns q's metric in each bucket. Rows are told apart by name: where
// one comes twice there is a question for each time, for shares and visitors
// cannot be added up.
func inBuckets(ctx context.Context, db query.Querier, q query.Query, parts []bucket) ([]float64, error) {
	values := make([]float64, len(parts))
	for first := 0; first < len(parts); {
		at := map[string]int{}
		last := first
		for ; last < len(parts); last++ {
			if _, again := at[parts[last].name]; again {
				break
			}
			at[parts[last].name] = last
		}
		q.From, q.To = parts[first].start, parts[last-1].end
		result, err := query.Run(ctx, db, q)
		if err != nil {
			return nil, err
		}
		for _, row := range result.Rows {
			if i, ok := at[row.Dimensions[0]]; ok {
				values[i] = row.Metrics[0]
			}
		}
		first = last
	}
	return values, nil
}

// back moves every bucket to the period before. An hour may be nothing there,
// where clocks changed on one of the two days.
func (v View) back(parts []bucket) []bucket {
	out := make([]bucket, len(parts))
	for i, b := range parts {
		out[i] = bucket{b.name, v.earlier(b.start), v.earlier(b.end)}
	}
	return out
}

// before returns q's metric in buckets of the period before. Its own Mondays and
// months lie elsewhere than those of the view's period: where they do, each
// bucket is a question of its own, so that a point is compared with as long a
// time and no day is left out.
func before(ctx context.Context, db query.Querier, q query.Query, parts []bucket, dimension string) ([]float64, error) {
	whole := query.Period{From: parts[0].start, To: parts[len(parts)-1].end}
	own := buckets(whole, dimension)
	if slices.EqualFunc(own, parts, func(a, b bucket) bool { return a.start.Equal(b.start) && a.end.Equal(b.end) }) {
		return inBuckets(ctx, db, q, own)
	}
	q.Dimensions = nil
	values := make([]float64, len(parts))
	for i, b := range parts {
		if !b.start.Before(b.end) {
			continue
		}
		q.From, q.To = b.start, b.end
		result, err := query.Run(ctx, db, q)
		if err != nil {
			return nil, err
		}
		values[i] = result.Rows[0].Metrics[0]
	}
	return values, nil
}
