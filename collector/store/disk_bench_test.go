package store_test

import (
	"fmt"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"

	"sluice/collector/store/storetest"
)

// diskBudget is what an event may take on disk once parts are merged, indexes
// included.
const diskBudget = 40.0

// browsed fills the table as a shop's visitors do: visits of 1 to 12 pages by
// visitors of whom a third come back, with ids as long and as random as those of
// the script, 300 pages with a title each, a handful of sources and devices, and
// a ping of engagement behind most pages. Times go forward, visits overlap.
const browsed = `
INSERT INTO events (event_id, site, ts, name, visitor, session, session_start, session_first, hostname, path, title, referrer, source, channel,
    utm_source, utm_medium, utm_campaign, country, browser, browser_version, os, os_version, device, language, screen,
    engagement_ms, ip_hash, receipt_id, notice, keep_until, spool_id, seq)
WITH
    [1, 1, 1, 2, 2, 3, 3, 4, 6, 12][cityHash64(number, 'v') % 10 + 1] AS views,
    arrayJoin(range(2 * views)) AS place,
    intDiv(place, 2) AS step,
    place % 2 = 1 AS ping,
    cityHash64(number, place, 'd') AS dice,
    cityHash64(number) % {visitors:UInt64} AS who,
    1792879200000 + number * {apart:UInt64} + step * 40000 + dice % 30000 AS ms,
    toUInt32(pow(cityHash64(number, step) % 100000 / 100000, 3) * 300) AS page,
    cityHash64(number, 's') % 7 + 1 AS origin
SELECT
    toString(sipHash64(number, place)),
    'shop.example',
    fromUnixTimestamp64Milli(toInt64(ms), 'UTC'),
    multiIf(ping, 'engagement', step > 0 AND dice % 12 = 0, 'Add to cart', 'pageview'),
    substring(base64Encode(reinterpretAsString(sipHash128(who))), 1, 16),
    concat(toString(intDiv(1792879200000 + number * {apart:UInt64}, 1000)), '.', toString(sipHash64(number, 's'))),
    toDateTime(intDiv(1792879200000 + number * {apart:UInt64}, 1000), 'UTC'),
    place = 0,
    'shop.example',
    concat('/product/', toString(page)),
    concat('The product of number ', toString(page), ', made by hand in our workshop'),
    if(place = 0, ['', 'https://www.google.com/', 'https://www.google.com/', 'https://www.bing.com/', 'https://www.reddit.com/', 'https://news.ycombinator.com/item', ''][origin], ''), -- a step within the site is no arrival
    ['', 'Google', 'Google', 'Bing', 'Reddit', 'Hacker News', 'newsletter'][origin],
    ['Direct', 'Organic Search', 'Organic Search', 'Organic Search', 'Organic Social', 'Referral', 'Email'][origin],
    if(origin = 7, 'newsletter', ''), if(origin = 7, 'email', ''), if(origin = 7, 'autumn', ''),
    ['DE', 'US', 'GB', 'FR', 'AT', 'CH', 'NL', 'PL', 'IN', 'BR'][who % 10 + 1],
    ['Chrome', 'Safari', 'Firefox', 'Edge'][who % 4 + 1],
    ['142.0', '26.1', '145.0', '142.0'][who % 4 + 1],
    ['Windows', 'macOS', 'iOS', 'Android', 'Linux'][who % 5 + 1],
    ['10', '15.7', '26.1', '16', ''][who % 5 + 1],
    ['desktop', 'mobile', 'tablet'][who % 3 + 1],
    ['de', 'en', 'en', 'fr', 'de', 'de', 'nl', 'pl', 'en', 'pt'][who % 10 + 1],
    ['1920x1080', '390x844', '820x1180', '1536x864', '412x915'][who % 5 + 1],
    if(ping, dice % 60000, 0),
    '', -- blank after 24 hours
    reinterpretAsUUID(sipHash128(who, intDiv(number, 1000000))),
    '2025-07', toDate('2100-01-01'), toUUID('a5f9c3de-1d7b-4f3c-9d5c-0a1b2c3d4e5f'),
    intDiv((ms - 1792879200000) * 7, {apart:UInt64}) -- in the order of arrival
FROM numbers({first:UInt64}, {n:UInt64})
SETTINGS max_partitions_per_insert_block = 1000`

// BenchmarkDisk measures how many bytes an event takes after merges: one month of
// a million events and of ten. of-budget is in units of diskBudget.
func BenchmarkDisk(b *testing.B) {
	for _, events := range []uint64{1_000_000, 10_000_000} {
		b.Run(fmt.Sprintf("%dM", events/1_000_000), func(b *testing.B) {
			for b.Loop() {
				disk(b, events)
			}
		})
	}
}

func disk(b *testing.B, events uint64) {
	b.Helper()
	conn := storetest.Open(b).Conn()
	visits := events / 7 // 7 events each, pings among them
	for first, step := uint64(0), uint64(20_000); first < visits; first += step {
		err := conn.Exec(b.Context(), browsed, clickhouse.Named("first", first), clickhouse.Named("n", min(step, visits-first)),
			clickhouse.Named("visitors", visits*2/3), clickhouse.Named("apart", 30*86_400_000/visits))
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := conn.Exec(b.Context(), "OPTIMIZE TABLE events FINAL"); err != nil {
		b.Fatal(err)
	}
	var rows, bytes uint64
	if err := conn.QueryRow(b.Context(), "SELECT sum(rows), sum(bytes_on_disk) FROM system.parts WHERE table = 'events' AND active").Scan(&rows, &bytes); err != nil {
		b.Fatal(err)
	}
	if rows < events*9/10 {
		b.Fatalf("%d events, want about %d", rows, events)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(bytes)/float64(rows), "B/event")
	b.ReportMetric(float64(bytes)/float64(rows)/diskBudget, "of-budget")
	var columns []struct {
		Column string `ch:"column"`
		Bytes  uint64 `ch:"bytes"`
	}
	if err := conn.Select(b.Context(), &columns, "SELECT column, sum(column_bytes_on_disk) AS bytes FROM system.parts_columns WHERE table = 'events' AND active GROUP BY column ORDER BY bytes DESC LIMIT 12"); err != nil {
		b.Fatal(err)
	}
	for _, c := range columns {
		b.Logf("%-16s %6.2f B/event", c.Column, float64(c.Bytes)/float64(rows))
	}
}
