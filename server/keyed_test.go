package server

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"sluice/server/config"
)

// A site's backend, with the key of the configuration and a visitor's token,
// sends an event as docs/doors.md shows it.
func TestEventsUnderAnAPIKey(t *testing.T) {
	t.Parallel()
	dir, sum := t.TempDir(), sha256.Sum256([]byte("a key"))
	c, err := config.Parse(fmt.Appendf(nil, `
server: {listen: "127.0.0.1:0", metrics_listen: "localhost:0"}
data_dir: %s
clickhouse: {url: "http://127.0.0.1:1/sluice"}
sites: [{domain: example.com}, {domain: other.example}]
api_keys: [{name: shop, key_hash: "sha256:%s", sites: [example.com]}]
`, dir, hex.EncodeToString(sum[:])), dir)
	if err != nil {
		t.Fatal(err)
	}
	r := startOf(t, c, time.Now)

	var decision struct{ Token string }
	granted := r.visit(t, "203.0.113.1", http.MethodPost, "/_s/d", `{"site":"example.com","purposes":{"analytics":true},"method":"accept_all","notice":"1"}`)
	if err := json.NewDecoder(granted.Body).Decode(&decision); err != nil || decision.Token == "" {
		t.Fatalf("decision: %s, %v", granted.Status, err)
	}
	send := func(key, site string) (status int, answer string) {
		t.Helper()
		body := fmt.Sprintf(`{"site":%q,"token":%q,"events":[{"id":"order-4711","name":"purchase","url":"https://%s/checkout","revenue":{"amount":"9.90","currency":"EUR"}}]}`, site, decision.Token, site)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.public+"/_s/e", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+key)
		return exchange(t, req)
	}
	for _, want := range []string{`{"accepted":1,"dropped":[]}`, `{"accepted":0,"dropped":[{"index":0,"reason":"duplicate"}]}`} {
		if status, got := send("a key", "example.com"); status != http.StatusAccepted || got != want {
			t.Errorf("answered %d %s, want 202 %s", status, got, want)
		}
	}
	for what, try := range map[string][2]string{"another key": {"no key", "example.com"}, "a site that the key does not open": {"a key", "other.example"}} {
		if status, got := send(try[0], try[1]); status != http.StatusForbidden {
			t.Errorf("%s: answered %d %s, want 403", what, status, got)
		}
	}
}
