package server

import (
	"github.com/prometheus/client_golang/prometheus"

	"sluice/collector"
)

// deliveries publishes how the way of events to every recipient goes.
type deliveries struct{ of *machine }

var (
	recipient       = []string{"site", "service"}
	forwardsEnded   = prometheus.NewDesc("sluice_forwards_total", "Events since the start whose way to a recipient has ended: acknowledged, cancelled or dead.", append(recipient, "state"), nil)
	forwardRequests = prometheus.NewDesc("sluice_forward_requests_total", "Requests to a recipient since the start, repeated ones among them.", recipient, nil)
	forwardsWaiting = prometheus.NewDesc("sluice_forwards_waiting", "Events in a recipient's queue, due or waiting for another attempt.", recipient, nil)
	forwardOldest   = prometheus.NewDesc("sluice_forward_oldest_seconds", "Age of the oldest event in a recipient's queue; 0 where none waits.", recipient, nil)
	forwardsUnread  = prometheus.NewDesc("sluice_forwards_unread_records", "Records of the spool that a recipient's forwarder has not looked at.", recipient, nil)
)

func (d deliveries) Describe(out chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{forwardsEnded, forwardRequests, forwardsWaiting, forwardOldest, forwardsUnread} {
		out <- desc
	}
}

func (d deliveries) Collect(out chan<- prometheus.Metric) {
	for _, f := range d.of.sinks {
		stats := f.Stats()
		total := func(desc *prometheus.Desc, n uint64, more ...string) {
			out <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(n), append([]string{f.site, f.service}, more...)...)
		}
		now := func(desc *prometheus.Desc, v float64) {
			out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v, f.site, f.service)
		}
		total(forwardsEnded, stats.Acknowledged, string(collector.Acknowledged))
		total(forwardsEnded, stats.Cancelled, string(collector.Cancelled))
		total(forwardsEnded, stats.Dead, string(collector.Dead))
		total(forwardRequests, stats.Requests)
		q := d.of.waiting(f.site)[f.service]
		now(forwardsWaiting, float64(q.Events))
		now(forwardsUnread, float64(q.Unread))
		age := 0.0
		if !q.Oldest.IsZero() {
			age = d.of.now().Sub(q.Oldest).Seconds()
		}
		now(forwardOldest, age)
	}
}
