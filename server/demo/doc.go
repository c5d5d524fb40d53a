// Package demo is what `sluice demo` shows beside the server itself: a small
// shop that embeds the script as any site owner would, and a history of visits
// for the dashboards.
//
// # Why
//
// The shop knows nothing of Sluice but a script tag and a path that it hands
// on, so that it proves the installation of the README. The history goes
// through the same ledger, gate and spool as a visitor's events, under a clock
// of its own: the demo cannot show what the product would not do.
package demo
