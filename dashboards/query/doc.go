// Package query turns a question about a site into ClickHouse SQL and rows into
// an answer. The dashboards and the Stats API ask through it, so that a figure
// has one definition: metrics are in metric.go, dimensions in dimension.go, the
// SQL in sql/.
//
// # What is counted
//
// An event counts at its own time: visitors, pageviews and events of a period
// come from the events within it. A visit (all events of one session) belongs
// as a whole to the moment of its first event, also where it crosses midnight
// or the end of the period: visits, bounce rate, views per visit and visit
// duration come from the visits that begin within the period. Measurements
// (engagement pings, scrolls, web vitals) are no events: pings say how long a
// page was in view, which visit duration and engagement rate are made of, and
// no other figure but their own counts them. 404s, searches and errors are
// events, but no interaction: they change no bounce rate. Rows of test hosts are
// left out, unless [Query.Test] asks for them alone; so is what other tools
// counted, which [ImportedDays] reads apart.
//
// A visit is looked for up to a day before and after the period: a session ends
// after 30 minutes of silence, so only one that is kept alive for more than a
// day is ever cut.
//
// # Why
//
// There is no table of visits. One would have to be corrected with every event
// that arrives late, is erased or is anonymised, while grouping a million
// events by session takes some 50 ms on two cores: an order of magnitude less
// than what a reader notices, and always right.
//
// Distinct visitors are counted exactly (uniqExact): at these sizes it costs no
// more than an estimate, and two panels never disagree.
//
// Values are bound by the engine ({name:Type}). What is written into the SQL
// itself comes from the tables of this package alone, never from a request.
package query
