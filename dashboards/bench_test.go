package dashboards

import (
	"context"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"sluice/collector/store/storetest"
	"sluice/consent"
	"sluice/dashboards/query"
)

// panelBudget is what a panel of the 30-day page may take over a million
// events, on two cores with nothing else to do.
const panelBudget = 150 * time.Millisecond

// million fills 30 days up to now with a million events of 350,000 visits:
// half of them one page long, 1,000 pages, as many entries as exits.
const million = `
INSERT INTO events (event_id, site, ts, seq, name, visitor, session, hostname, path, source, channel, country, browser, os, device, keep_until)
WITH
    [1, 1, 1, 1, 1, 2, 2, 3, 5, 12][cityHash64(number) % 10 + 1] AS views,
    arrayJoin(range(views)) AS step,
    cityHash64(number, step) AS dice,
    cityHash64(number % 200000) AS who
SELECT
    concat(toString(number), '-', toString(step)),
    'shop.example',
    fromUnixTimestamp64Milli(toInt64(1792879200000 + number * 7405 + step * 40000 + dice % 30000), 'UTC'),
    rowNumberInAllBlocks(),
    if(step > 0 AND dice % 8 = 0, ['Signup', 'add_to_cart', 'purchase'][dice % 3 + 1], 'pageview'),
    lower(hex(who)),
    concat(toString(number), '.session'),
    'shop.example',
    concat('/page/', toString(toUInt32(pow(cityHash64(dice) % 100000 / 100000, 3) * 1000))),
    if(step = 0, ['', 'Google', 'Google', 'Bing', 'Reddit', 'Hacker News', 'newsletter'][cityHash64(number, 's') % 7 + 1], ''),
    if(step = 0, ['Direct', 'Organic Search', 'Organic Social', 'Referral', 'Email'][cityHash64(number, 'c') % 5 + 1], ''),
    ['DE', 'US', 'GB', 'FR', 'AT', 'CH', 'NL', 'PL', 'IN', 'BR'][who % 10 + 1],
    ['Chrome', 'Safari', 'Firefox', 'Edge'][who % 4 + 1],
    ['Windows', 'macOS', 'iOS', 'Android', 'Linux'][who % 5 + 1],
    ['desktop', 'mobile', 'tablet'][who % 3 + 1],
    toDate('2100-01-01')
FROM numbers({first:UInt64}, {n:UInt64})`

// baseline is what any exact count of visitors has to do: read a column of every
// event and put it into a hash table.
const baseline = "SELECT uniqExact(visitor_id) FROM events WHERE name NOT IN ('engagement', 'scroll', 'web_vital')"

// BenchmarkPanels times every panel of the 30-day page over a million events,
// one at a time. of-budget is the median in units of panelBudget, of-baseline
// in units of the baseline timed in turn with it, which a busy machine slows
// down alike.
func BenchmarkPanels(b *testing.B) {
	db := storetest.Open(b).Conn()
	const visits, step = 350_000, 50_000 // the engine's memory is limited
	for first := 0; first < visits; first += step {
		if err := db.Exec(b.Context(), million, clickhouse.Named("first", first), clickhouse.Named("n", step)); err != nil {
			b.Fatal(err)
		}
	}
	// Merges of what was just written would be timed along.
	if err := db.Exec(b.Context(), "OPTIMIZE TABLE events FINAL"); err != nil {
		b.Fatal(err)
	}
	var events uint64
	if err := db.QueryRow(b.Context(), "SELECT count() FROM events").Scan(&events); err != nil {
		b.Fatal(err)
	}
	if events < 1_000_000 {
		b.Fatalf("%d events, want a million", events)
	}
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		b.Fatal(err)
	}
	site := &consent.Site{Domain: "shop.example", TimeZone: zone}
	v := ReadView(site, nil, now)
	filtered := ReadView(site, url.Values{"f": {"is,visit:country,DE", "is,event:page,/page/1"}}, now)

	type ask func(context.Context, query.Querier, View) error
	one := map[string]ask{
		"headline": func(ctx context.Context, db query.Querier, v View) error {
			_, err := askFigures(ctx, db, v, now)
			return err
		},
		"chart": func(ctx context.Context, db query.Querier, v View) error {
			_, err := askChart(ctx, db, v, now)
			return err
		},
	}
	names := []string{"headline", "chart"}
	for _, p := range panels {
		one[p.key] = func(ctx context.Context, db query.Querier, v View) error { _, err := p.ask(ctx, db, v); return err }
		names = append(names, p.key)
	}
	for _, of := range []struct {
		name string
		view View
	}{{"all", v}, {"filtered", filtered}} {
		for _, name := range names {
			b.Run(of.name+"/"+name, func(b *testing.B) {
				var took, base []time.Duration
				for b.Loop() {
					start := time.Now()
					if err := one[name](b.Context(), db, of.view); err != nil {
						b.Fatal(err)
					}
					middle := time.Now()
					var visitors uint64
					if err := db.QueryRow(b.Context(), baseline).Scan(&visitors); err != nil {
						b.Fatal(err)
					}
					took, base = append(took, middle.Sub(start)), append(base, time.Since(middle))
				}
				b.ReportMetric(0, "ns/op") // would count the baseline
				b.ReportMetric(float64(median(took).Milliseconds()), "ms-median")
				b.ReportMetric(float64(median(took))/float64(panelBudget), "of-budget")
				b.ReportMetric(float64(median(took))/float64(median(base)), "of-baseline")
			})
		}
	}
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}
