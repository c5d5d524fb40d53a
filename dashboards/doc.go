// Package dashboards is where a marketer reads what happened: the list of sites
// and one page per site, and the Stats API over the same figures. It asks
// package query and shows the answers; it computes no figure of its own.
//
// The way through the package: a page's address is read into a [View] (period,
// filters, chosen metric); a report asks for every panel of the view at once;
// templates write it as HTML.
//
// # Why
//
// Everything a page shows is in its HTML: figures as tables, the chart as an
// SVG beside its table. The script of the page draws a livelier chart over it
// and does nothing else, so a reader without scripts misses nothing, and every
// state of a page has an address that can be sent to somebody.
//
// A panel whose query fails says so in its place. It never shows a zero, and
// never takes the panels beside it along.
package dashboards
