package judge

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestHits is rule 24, and rule 22 for hits.
func TestHits(t *testing.T) {
	t.Parallel()
	const good = "v=2&tid=G-TEST&cid=1.2&en=page_view&gcs=G101&gcd=13p3r3p2p5l1&npa=1&dl=https%3A%2F%2Fexample.com%2F"
	tests := []struct {
		name       string
		query      string
		body       string
		header     string
		refused    Code
		dropped    int
		violations []string
	}{
		{"good", good, "", "", "", 0, nil},
		{"two lines", strings.Replace(good, "&en=page_view", "", 1), "en=page_view&_s=1\r\nen=scroll&_s=2", "", "", 0, nil},
		{"user_engagement is gtag's own", good + "&en=x", "en=user_engagement", "", "", 0, nil},
		{"no version", strings.Replace(good, "v=2", "v=1", 1), "", "", ValueRequired, 1, nil},
		{"no property", strings.Replace(good, "G-TEST", "", 1), "", "", ValueRequired, 1, nil},
		{"no client", strings.Replace(good, "cid=1.2", "", 1), "", "", ValueInvalid, 1, nil},
		{"no consent", strings.Replace(good, "gcs=G101", "", 1), "", "", ValueInvalid, 1, nil},
		{"analytics denied", strings.Replace(good, "G101", "G100", 1), "", "", ValueInvalid, 1, nil},
		{"two consents", strings.Replace(good, "G101", "G111", 1), "", "", ValueInvalid, 1, nil},
		{"npa against gcd", strings.Replace(good, "npa=1", "npa=0", 1), "", "", ValueInvalid, 1, nil},
		{"reserved", good, "en=session_start", "", "", 1, nil},
		{"not parameters", good, "en=a;b", "", ValueInvalid, 0, nil},
		{"too many", good, strings.Repeat("en=x\n", 26), "", ExceededMaxEntities, 26, nil},
		{"address of the visitor", good + "&_uip=x", "", "", "", 0, []string{"parameter _uip"}},
		{"hashed e-mail", good + "&em=x&ecid=y&ec_mode=z", "", "", "", 0, []string{"parameter ec_mode", "parameter ecid", "parameter em"}},
		{"what a container reads", good, "en=a&sst.gcsub=region1", "", "", 0, []string{"parameter sst.gcsub"}},
		{"user id, linker, hints", good + "&uid=7&_fplc=x&uafvl=y", "", "", "", 0, []string{"parameter _fplc", "parameter uafvl", "parameter uid"}},
		{"address in a text", good + "&ep.note=203.0.113.7", "", "", "", 0, []string{"address in parameter ep.note"}},
		{"e-mail in an item", good + "&pr1=nmada%40example.org", "", "", "", 0, []string{"e-mail in parameter pr1"}},
		{"item 201", good + "&pr201=nmx", "", "", "", 0, []string{"parameter pr201"}},
		{"click id", good + "&dr=https%3A%2F%2Fa.example%2F%3Fgclid%3Dx", "", "", "", 0, []string{"click id in parameter dr"}},
		{"cookie", good, "", "Cookie", "", 0, []string{"header Cookie"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			q, err := url.ParseQuery(tt.query)
			if err != nil {
				t.Fatal(err)
			}
			req := Request{Method: http.MethodPost, Query: q, Header: http.Header{}, Body: []byte(tt.body)}
			if tt.header != "" {
				req.Header.Set(tt.header, "x")
			}
			v := Hits(req)
			if v.Refused != tt.refused || len(v.Dropped) != tt.dropped {
				t.Errorf("refused %q, %d dropped; want %q, %d: %+v", v.Refused, len(v.Dropped), tt.refused, tt.dropped, v.Messages)
			}
			if diff := cmp.Diff(tt.violations, v.Violations); diff != "" {
				t.Errorf("violations (-want +got):\n%s", diff)
			}
		})
	}
	if v := Hits(Request{Method: http.MethodPut}); !v.WrongMethod {
		t.Error("PUT is taken")
	}
}
