package standin

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	query = "?measurement_id=G-TEST&api_secret=x"
	good  = `{"client_id":"123.456","events":[{"name":"page_view"}]}`
	bad   = `{"client_id":"123.456","events":[{"name":"session_start"}]}`
)

func start(t *testing.T, o Options) (*Server, string) {
	t.Helper()
	s := New(o)
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	return s, web.URL
}

// send returns the status and body of the answer; status 0 is a cut
// connection.
func send(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.GetBody = nil // so that the transport does not try again by itself
	// A connection of its own: the transport repeats requests on reused ones.
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Do(r)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(b))
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	_, base := start(t, Options{})
	tests := []struct {
		name, method, path, body string
		status                   int
		want                     string
	}{
		{"good", "POST", CollectPath + query, good, 204, ""},
		{"bad is 204 as well", "POST", CollectPath + query, bad, 204, ""},
		{"not even JSON is 204", "POST", CollectPath, "}{", 204, ""},
		{"valid", "POST", ValidatePath + query, good, 200, `{"validationMessages":[]}`},
		{"reserved", "POST", ValidatePath + query, bad, 200, `{"validationMessages":[{"fieldPath":"events",` +
			`"description":"Event at index: [0] has name [session_start] which is reserved.","validationCode":"NAME_RESERVED"}]}`},
		{"get", "GET", CollectPath + query, "", 405, ""},
		{"elsewhere", "POST", "/collect", good, 404, "404 page not found"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			status, body := send(t, tt.method, base+tt.path, tt.body)
			if status != tt.status || body != tt.want {
				t.Errorf("got %d %q, want %d %q", status, body, tt.status, tt.want)
			}
		})
	}
}

func TestRecords(t *testing.T) {
	t.Parallel()
	var seen []string
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	s, base := start(t, Options{Keep: 2, Now: func() time.Time { return at }, OnHit: func(h Hit) { seen = append(seen, string(h.Body)) }})
	for _, body := range []string{good, bad, good} {
		send(t, "POST", base+CollectPath+query, body)
	}
	if diff := cmp.Diff([]string{good, bad, good}, seen); diff != "" {
		t.Errorf("OnHit (-want +got):\n%s", diff)
	}
	hits := s.Hits()
	if len(hits) != 2 {
		t.Fatalf("%d hits kept, want the last 2", len(hits))
	}
	if got := len(hits[0].Kept()); got != 0 {
		t.Errorf("reserved name: %d events kept, want 0", got)
	}
	last := hits[1]
	if len(last.Kept()) != 1 || last.Status != 204 || !last.At.Equal(at) || last.Query.Get("measurement_id") != "G-TEST" || last.Header.Get("Content-Type") == "" {
		t.Errorf("hit is not whole: %+v", last)
	}
	if s.Reset(); len(s.Hits()) != 0 {
		t.Error("hits remain after Reset")
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		fault    Fault
		status   int // of the first request
		recorded int
		kept     int
	}{
		{"refuse", Fault{Kind: Refuse, Times: 1}, 0, 0, 0},
		{"reset after the body", Fault{Kind: Reset, Times: 1}, 0, 1, 1},
		{"slow", Fault{Kind: Slow, Delay: time.Millisecond, Times: 1}, 204, 1, 1},
		{"500", Fault{Kind: Answer, Status: 500, Times: 1}, 500, 1, 0},
		{"503", Fault{Kind: Answer, Status: 503, RetryAfter: time.Minute, Times: 1}, 503, 1, 0},
		{"400", Fault{Kind: Answer, Status: 400, Times: 1}, 400, 1, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, base := start(t, Options{})
			s.Fail(tt.fault)
			if got, _ := send(t, "POST", base+CollectPath+query, good); got != tt.status {
				t.Errorf("status = %d, want %d", got, tt.status)
			}
			hits, kept := s.Hits(), 0
			for _, h := range hits {
				kept += len(h.Kept())
			}
			if len(hits) != tt.recorded || kept != tt.kept {
				t.Errorf("%d recorded, %d kept; want %d, %d", len(hits), kept, tt.recorded, tt.kept)
			}
			if got, _ := send(t, "POST", base+CollectPath+query, good); got != 204 {
				t.Errorf("after the fault: status = %d, want 204", got)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	s := New(Options{})
	s.Fail(Fault{Kind: Answer, Status: 503, RetryAfter: 90 * time.Second})
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest("POST", CollectPath+query, strings.NewReader(good)))
	if got := w.Header().Get("Retry-After"); w.Code != 503 || got != "90" {
		t.Errorf("got %d, Retry-After %q; want 503, 90", w.Code, got)
	}
}
