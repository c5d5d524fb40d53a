// Package engine runs ClickHouse without a server: a child process loads
// libchdb and answers ClickHouse's HTTP interface on a unix socket, so that
// the driver and every query above it know one ClickHouse only.
//
//	sluice serve ── clickhouse-go ── unix socket ──▶ sluice engine ── libchdb
//	     └────────── stdin pipe: its end is the child's end ──▶┘
//
// [Find] looks for libchdb, [Start] keeps a child running, [Serve] is that
// child. A test binary becomes the child by calling [MainIfChild] first thing
// in TestMain.
//
// # Why
//
// A child process, because the engine is C++: a crash or an out-of-memory kill
// must not take the collector down with it. The same binary, because there is
// then one thing to install and one version. HTTP, because the driver speaks
// it and an INSERT can be streamed.
//
// Every request runs in a session of its own, as on a real server: settings,
// the current database and temporary tables end with it. A session costs
// 0.1–0.2 ms. One more is kept open from start to end, for closing the last
// one would shut the engine down.
//
// To leave is to close that last session, which stops merges and the tables
// within milliseconds, and to end the process, which in Go runs none of C++'s
// exit handlers. chdb_shutdown, which would join every thread first, is not
// called: from the first MergeTree table on, libchdb 26.7 has a thread that it
// cannot join, and says so each time. Nor is a merge waited for that takes
// longer than a second. Nothing is lost by either: an INSERT was fsynced before
// it was answered, and a mutation goes on at the next start.
//
// Answers are held in the engine's memory until they are complete. A query
// then fails before its first byte or not at all, and answers are small here:
// whoever reads a table in full pages through it.
//
// The engine's own log stays off: it would repeat statements and their values.
package engine
