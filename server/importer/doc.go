// Package importer reads what other analytics tools export and adds it up to
// figures by day: how many visitors, visits, pageviews and events there were,
// in all and for each page, source, country and so on. It knows no database;
// Sluice keeps the sums in a table of their own.
//
// # Why
//
// Sums, not events: what others collected rests on no consent that Sluice could
// prove, so no row about a person is taken over. Identifiers and addresses live
// in memory, under a hash whose key is drawn for the one run, for as long as it
// takes to count them.
//
// What is read is decided by the names of columns, not by their places: tools
// add columns between versions. A line that cannot be understood ends the
// import with file and line before anything is stored, because half an import
// looks like a bad year.
//
// A shell names the newest log first, and tables are written out in no order at
// all: so parts are read in the order of their first events, and an event finds
// its visit by its time. Which files there are decides the figures, not how they
// are named.
//
// # Sources
//
// Plausible's export: lib/plausible/exports.ex. GoatCounter's: export.go.
// Umami's: the columns of its table website_event. GA4's: the tables of its
// reports and explorations, as their pages download them, and its BigQuery
// export (schema: support.google.com/analytics/answer/7029846). Access logs:
// the combined format of Apache and nginx, and Apache's vhost_combined.
package importer
