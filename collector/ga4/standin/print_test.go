package standin

import (
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/collector/ga4/judge"
)

func TestString(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	hit := func(body string) Hit {
		q := url.Values{"measurement_id": {"G-TEST"}, "api_secret": {"s3cret"}}
		return Hit{
			At: at, Method: "POST", Path: CollectPath, Query: q, Body: []byte(body), Status: 204,
			Verdict: judge.Judge(judge.Request{Method: "POST", Query: q, Header: map[string][]string{"Content-Type": {"application/json"}}, Body: []byte(body)}, judge.ByBody),
		}
	}
	cut := hit("}")
	cut.Status = 0
	tests := []struct {
		name string
		hit  Hit
		want string
	}{
		{"clean", hit(`{"client_id":"1.2","user_location":{"country_id":"DE"},"consent":{"ad_user_data":"DENIED"},"events":[{"name":"page_view","params":{"page_location":"https://example.com/"}}]}`),
			"12:00:00 POST /mp/collect G-TEST → 204  client 1.2  country DE  ad_user_data DENIED\n" +
				"  accepted  page_view https://example.com/\n" +
				"  the validator has nothing to say\n"},
		{"complaints", hit(`{"client_id":"x","events":[{"name":"error"},{"name":"a","params":{"ip":"203.0.113.7"}}]}`),
			"12:00:00 POST /mp/collect G-TEST → 204  client x  country -  ad_user_data -\n" +
				"  accepted  a \n" +
				"  dropped   error \n" +
				"  rule 9: NAME_RESERVED: Event at index: [0] has name [error] which is reserved.\n" +
				"  passed over in silence, rule 7: client_id [x] has invalid format. It should be in <number>.<number> format.\n" +
				"  MUST NOT BE SENT: address in events[1].params.ip\n"},
		{"cut", cut,
			"12:00:00 POST /mp/collect G-TEST → connection cut  client -  country -  ad_user_data -\n" +
				"  rule 5: VALUE_INVALID: Unable to parse Measurement Protocol JSON payload. unexpected token: invalid character '}' looking for beginning of value.\n"},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, tt.hit.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}
