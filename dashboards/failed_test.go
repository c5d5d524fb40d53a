package dashboards

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"sluice/dashboards/query"
)

// broken is an engine whose queries with some words fail.
type broken struct {
	query.Querier
	words []string
}

func (b broken) Query(ctx context.Context, text string, args ...any) (driver.Rows, error) {
	for _, w := range b.words {
		if strings.Contains(text, w) {
			return nil, errors.New("engine is away")
		}
	}
	return b.Querier.Query(ctx, text, args...)
}

// TestFailedPanels checks that a panel that cannot be read says so, and nothing
// else changes.
func TestFailedPanels(t *testing.T) {
	t.Parallel()
	db := openHostile(t)
	tests := []struct {
		name   string
		words  []string
		failed []string // sections
		logged int      // queries
	}{
		{"one panel", []string{"visit_browser"}, []string{"browsers"}, 1},
		{"counters and forwards", []string{"FROM counters", "FROM forwards"}, []string{"Visitors over time", "consent", "forwards"}, 3},
		{"receipts", []string{"FROM receipts"}, []string{"consent"}, 1},
		{"headline", []string{"s5"}, []string{"Headline figures"}, 1},
		{"what is measured, in one query", []string{"multiIf("}, []string{"searches", "outbound", "downloads", "forms", "missing"}, 1},
		{"vitals", []string{"LCP"}, []string{"vitals"}, 1},
		{"everything", []string{"SELECT"}, []string{
			"Headline figures", "Visitors over time", "pages", "entries", "exits", "sources", "channels", "campaigns", "countries", "events",
			"goals", "revenue", "searches", "outbound", "downloads", "forms", "missing", "browsers", "systems", "devices", "vitals", "Way", "consent", "forwards",
		}, 20},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			e := open(t, broken{db, tt.words}, slog.New(slog.NewTextHandler(&log, nil)))
			root, err := html.Parse(get(t, e, "/dashboards/shop.example").Body)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for n := range root.Descendants() {
				if attribute(n, "class") != "failed" {
					continue
				}
				section := n.Parent
				for section.Data != "section" {
					section = section.Parent
				}
				name := attribute(section, "id")
				if name == "" {
					name = attribute(section, "aria-label")
				}
				got = append(got, name)
				for d := range section.Descendants() {
					if d.Data == "td" || d.Data == "dd" {
						t.Errorf("section %s failed, and shows a figure", name)
					}
				}
			}
			if diff := cmp.Diff(tt.failed, got); diff != "" {
				t.Errorf("failed sections (-want +got):\n%s", diff)
			}
			if n := strings.Count(log.String(), "panel failed"); n != tt.logged {
				t.Errorf("%d failures are logged, want %d:\n%s", n, tt.logged, &log)
			}
		})
	}
}

// hanging is an engine that never answers.
type hanging struct{}

func (hanging) Query(ctx context.Context, _ string, _ ...any) (driver.Rows, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestEngineThatHangs wants every page and the Stats API to say so before the
// server gives up writing.
func TestEngineThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := open(t, hanging{}, nil, func(o *Options) { o.PageTime = 0 })
		question := httptest.NewRequest(http.MethodPost, "/api/v2/query", strings.NewReader(`{"site_id":"shop.example","metrics":["visitors"],"date_range":"day"}`))
		question.Header.Set("Content-Type", "application/json")
		question.Header.Set("Authorization", "Bearer x")
		for want, r := range map[string]*http.Request{
			query.ErrUnavailable.Error(): question,
			"could not be read just now": httptest.NewRequest(http.MethodGet, "/dashboards/shop.example", nil),
			"could not be read":          httptest.NewRequest(http.MethodGet, "/dashboards", nil),
		} {
			begun := time.Now()
			w := httptest.NewRecorder()
			e.ServeHTTP(w, r)
			if took := time.Since(begun); !strings.Contains(w.Body.String(), want) || took >= 15*time.Second {
				t.Errorf("%s after %v: %s\nwant %q in less than 15 s", r.URL, took, w.Body, want)
			}
		}
	})
}
