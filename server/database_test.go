package server

import (
	"fmt"
	"log/slog"
	"testing"

	"sluice/collector/store"
	"sluice/server/config"
)

// TestCheckKnowsWhatTheStoreTakes holds the two together: config may not ask
// the store itself.
func TestCheckKnowsWhatTheStoreTakes(t *testing.T) {
	t.Parallel()
	const url = "clickhouse://h:9000/sluice"
	tests := []struct {
		url, cluster string
		want         bool
	}{
		{url, "", true},
		{"clickhouse://u:p@h1:9000,h2:9000/sluice?secure=true", "", true},
		{"http://h1:8123,h2:8123/sluice", "", true},
		{"https://h1:8443,h2:8443/sluice", "", true},
		{"tcp://h:9000/sluice", "", false},
		{"clickhouse:///sluice", "", false},
		{url + "?dial_timeout=soon", "", false},
		{url, "cluster-1.example_2", true},
		{url, "1st", true},
		{url, "-", false},
		{url, "a b", false},
		{url, "it's", false},
	}
	for _, tt := range tests {
		c, checked := config.Parse(fmt.Appendf(nil, "clickhouse: {url: %q, cluster: %q}\nsites: [{domain: example.com}]", tt.url, tt.cluster), t.TempDir())
		if checked != nil {
			c = config.Default()
			c.DataDir, c.ClickHouse.URL, c.ClickHouse.Cluster = t.TempDir(), config.Secret(tt.url), tt.cluster
		}
		s, opened := store.Open(storeOptions(c, slog.New(slog.DiscardHandler)))
		if opened == nil {
			s.Close()
		}
		if (checked == nil) != tt.want || (opened == nil) != tt.want {
			t.Errorf("%s, cluster %q: want fine %v; check says %v, the store %v", tt.url, tt.cluster, tt.want, checked, opened)
		}
	}
}
