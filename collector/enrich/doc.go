// Package enrich turns what a browser sends into what a report can use: a
// country out of an address, a browser out of a header, a channel out of a
// link. Values in, values out; nothing here logs, stores or decides.
//
// It is called after the gate only, so nothing in it may be needed to find out
// whether an event is allowed. What is not needed for a report leaves here and
// goes no further: addresses, user agents, queries, fragments, click ids.
package enrich
