package collector

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
)

// benchBody is what the script sends for a pageview.
const benchBody = `"sent":1795435200123,"events":[{"id":"0198f1f2a3b4c5d6","name":"pageview","url":"https://example.com/shop/product-12?utm_source=news",` +
	`"title":"A blue vase","referrer":"https://www.google.com/","ts":1795435200100,"session":"1795435100.abcdefgh","props":{"plan":"pro","variant":"b"},"screen":[1440,900]}]}`

// sink is a response that goes nowhere.
type sink struct{ header http.Header }

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) Write(b []byte) (int, error) { return len(b), nil }
func (s *sink) WriteHeader(int)             {}

// BenchmarkBareEcho is the baseline: a handler that decodes the same JSON and
// answers.
func BenchmarkBareEcho(b *testing.B) {
	e := echo.New()
	e.POST("/_s/e", func(c echo.Context) error {
		var in struct {
			Site   string `json:"site"`
			Token  string `json:"token"`
			Sent   int64  `json:"sent"`
			Events []struct {
				ID, Name, URL, Title, Referrer, Session string
				TS                                      int64
				Props                                   map[string]any
				Screen                                  []int
			} `json:"events"`
		}
		if err := c.Bind(&in); err != nil {
			return err
		}
		return c.JSON(http.StatusAccepted, map[string]any{"accepted": len(in.Events), "dropped": []string{}})
	})
	benchPost(b, e, func(string) string {
		return `{"site":"example.com","token":"` + strings.Repeat("x", 111) + `",` + benchBody
	})
}

// BenchmarkPostEvents is the same request on its whole way but the disk.
func BenchmarkPostEvents(b *testing.B) {
	h := newHouse(b)
	h.handler.appender = nowhere{}
	h.echo.POST("/_s/e", h.handler.PostEvents)
	token := h.sign(h.grant())
	benchPost(b, h.echo, func(id string) string {
		return `{"site":"example.com","token":"` + token + `",` + strings.Replace(benchBody, "0198f1f2a3b4c5d6", id, 1)
	})
}

func benchPost(b *testing.B, e *echo.Echo, body func(id string) string) {
	header := http.Header{
		"Content-Type": {"application/json"}, "Origin": {"https://example.com"}, "User-Agent": {chrome}, "Accept-Language": {"de-DE,de;q=0.9"},
		"Cookie": {"sl_choice=1:2025-07:analytics:statistics+google-analytics:1763934343; sl_id=1.abcdefghij.1763934343; sl_s=1795435100.abcdefgh"},
	}
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		n++
		id := [16]byte{}
		for i := range id {
			id[i] = "0123456789abcdef"[(n>>(i*4))&15]
		}
		sent := body(string(id[:]))
		r := &http.Request{
			Method: http.MethodPost, Host: "example.com", RemoteAddr: visitorIP + ":1234", Header: header,
			URL: mustURL("/_s/e"), Body: io.NopCloser(strings.NewReader(sent)), ContentLength: int64(len(sent)),
		}
		e.ServeHTTP(&sink{http.Header{}}, r)
	}
}

// nowhere keeps nothing.
type nowhere struct{}

func (nowhere) Append(context.Context, *Batch) error { return nil }

func mustURL(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return u
}
