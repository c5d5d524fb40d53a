package query

import "slices"

// Unit says how a metric's number is to be read.
type Unit int

// Units.
const (
	Count   Unit = iota
	Ratio        // of two counts, two decimals
	Percent      // 0 to 100, whole
	Share        // 0 to 100, two decimals
	Seconds      // whole
	Money        // of one currency
)

// Metric is a figure with its one definition.
type Metric struct {
	Name    string
	Unit    Unit
	Formula string // in words
	Source  string // whose definition it is

	// events computes it over rows of events within the period; "" where it
	// belongs to whole visits. visits computes it over rows of visits.sql. Where
	// both are given they count the same things.
	events, visits string
	// touched marks a metric of visits that can also be asked for each value of
	// an event's property: the visits in which it occurs.
	touched bool
	// engaged marks one that needs the engagement pings of visits, goals one that
	// needs to know whether a visit reached a goal.
	engaged, goals bool
}

const conversionRate = "conversion_rate"

// metrics lists every figure of the Stats API.
var metrics = []Metric{
	{
		Name: "visitors", Unit: Count,
		Formula: "distinct visitors with an event in the period",
		Source:  "Plausible Stats API v2: visitors",
		events:  "uniqExact(visitor_id)",
		visits:  "uniqExactIf(visitor, seen > 0)",
	},
	{
		Name: "visits", Unit: Count,
		Formula: "visits whose first event is in the period; by an event's property: visits in which it occurs",
		Source:  "Plausible Stats API v2: visits; a session crossing midnight counts once, as in GA4",
		events:  "uniqExact(session_id)",
		visits:  "countIf(begun)",
		touched: true,
	},
	{
		Name: "pageviews", Unit: Count,
		Formula: "events named pageview in the period",
		Source:  "Plausible Stats API v2: pageviews",
		events:  "countIf(name = 'pageview')",
		visits:  "sum(seen_views)",
	},
	{
		Name: "events", Unit: Count,
		Formula: "events in the period, pageviews among them; measurements (engagement, scroll, web_vital) not",
		Source:  "Plausible Stats API v2: events",
		events:  "count()",
		visits:  "sum(seen)",
	},
	{
		Name: "views_per_visit", Unit: Ratio,
		Formula: "pageviews of the visits that begin in the period ÷ those visits",
		Source:  "Plausible Stats API v2: views_per_visit",
		visits:  "if(countIf(begun) = 0, 0, round(sumIf(views, begun) / countIf(begun), 2))",
	},
	{
		Name: "bounce_rate", Unit: Percent,
		Formula: "visits with one pageview and no other interactive event ÷ visits, in per cent",
		Source:  "Plausible Stats API v2: bounce_rate; measurements, 404, search and error are not interactive",
		visits:  "if(countIf(begun) = 0, 0, round(100 * countIf(begun AND views = 1 AND actions = 1) / countIf(begun)))",
	},
	{
		Name: "visit_duration", Unit: Seconds,
		Formula: "mean time per visit for which its pages were in view and in focus; of a visit that measured none, from its first to its last event",
		Source:  "GA4: average engagement time per session; without measurement as Plausible Stats API v2: visit_duration",
		visits:  "if(countIf(begun) = 0, 0, round(sumIf(if(engaged > 0, engaged, toUInt64(dateDiff('millisecond', start, finish))), begun) / countIf(begun) / 1000))",
		engaged: true,
	},
	{
		Name: "engagement_rate", Unit: Percent,
		Formula: "visits in view for at least 10 s, with two pageviews or more, or with a goal reached ÷ visits, in per cent",
		Source:  "GA4: engagement rate (engaged session: 10 s, 2 page views, or a key event)",
		visits:  "if(countIf(begun) = 0, 0, round(100 * countIf(begun AND (engaged >= 10000 OR views >= 2 OR goals > 0)) / countIf(begun)))",
		engaged: true, goals: true,
	},
	{
		Name: conversionRate, Unit: Share,
		Formula: "visitors who reached the goal ÷ all visitors of the period under the other filters, in per cent",
		Source:  "Plausible Stats API v2: conversion_rate",
		events:  "round(100 * uniqExact(visitor_id) / greatest((/*everyone*/), 1), 2)",
	},
	{
		Name: "total_revenue", Unit: Money,
		Formula: "sum of the revenue of events in the period, of one currency",
		Source:  "Plausible Stats API v2: total_revenue; currencies are never added up",
		events:  "sum(revenue)",
	},
	{
		Name: "average_revenue", Unit: Money,
		Formula: "revenue ÷ events with revenue, of one currency",
		Source:  "Plausible Stats API v2: average_revenue",
		events:  "if(countIf(currency != '') = 0, 0, round(toFloat64(sum(revenue)) / countIf(currency != ''), 4))",
	},
}

// FindMetric returns the metric of that name.
func FindMetric(name string) (Metric, bool) {
	i := slices.IndexFunc(metrics, func(m Metric) bool { return m.Name == name })
	if i < 0 {
		return Metric{}, false
	}
	return metrics[i], true
}

// MetricNames lists the names that a query may ask for.
func MetricNames() []string {
	names := make([]string, len(metrics))
	for i, m := range metrics {
		names[i] = m.Name
	}
	return names
}
