package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"sluice/consent"
	"sluice/server/config"
)

func TestErrorsToAnswers(t *testing.T) {
	t.Parallel()
	fields := &consent.FieldError{}
	fields.Add("events[2].url", "is not a URL")
	tests := []struct {
		name   string
		err    error
		status int
		retry  string
		logged bool
	}{
		{"wrapped sentinel", fmt.Errorf("decide: %w", consent.ErrStaleNotice), 409, "", false},
		{"unknown site", consent.ErrUnknownSite, 404, "", false},
		{"foreign origin", consent.ErrForbiddenOrigin, 403, "", false},
		{"not JSON", consent.ErrNotJSON, 400, "", false},
		{"too large", consent.ErrTooLarge, 413, "", false},
		{"body limit of the server", &http.MaxBytesError{Limit: 1}, 413, "", false},
		{"media type", consent.ErrMediaType, 415, "", false},
		{"fields", fields, 422, "", false},
		{"too many", consent.ErrTooMany, 429, "60", false},
		{"login has to wait", &waitError{90 * time.Second}, 429, "90", false},
		{"spool full", fmt.Errorf("append: %w", consent.ErrUnavailable), 503, "30", true},
		{"no such door", echo.ErrNotFound, 404, "", false},
		{"wrong method", echo.ErrMethodNotAllowed, 405, "", false},
		{"nobody listed it", errors.New("disk on fire at /var/lib/secret"), 500, "", true},
		{"an echo error of 500", echo.NewHTTPError(500, "internal detail"), 500, "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			e := echo.New()
			e.HTTPErrorHandler = errorHandler(slog.New(slog.NewTextHandler(&log, nil)), nil)
			e.Use(requestID)
			e.GET("/x", func(echo.Context) error { return tt.err })
			w := httptest.NewRecorder()
			e.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/x", nil))
			if w.Code != tt.status {
				t.Errorf("status: got %d, want %d", w.Code, tt.status)
			}
			if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
				t.Errorf("content type: got %q", got)
			}
			if got := w.Header().Get("Retry-After"); got != tt.retry {
				t.Errorf("Retry-After: got %q, want %q", got, tt.retry)
			}
			var body problem
			if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
				t.Fatalf("body %q: %v", w.Body, err)
			}
			if body.Status != tt.status || body.Title == "" || body.Detail == "" || body.Type == "" {
				t.Errorf("body lacks something: %s", w.Body)
			}
			if strings.Contains(w.Body.String(), "secret") || strings.Contains(w.Body.String(), "internal detail") {
				t.Errorf("body tells internals: %s", w.Body)
			}
			if got := log.Len() > 0; got != tt.logged {
				t.Errorf("logged: got %v, want %v: %s", got, tt.logged, log.String())
			}
			if tt.status == 500 && (body.RequestID == "" || !strings.Contains(log.String(), body.RequestID)) {
				t.Errorf("request id %q is not in the log %q", body.RequestID, log.String())
			}
			if tt.status == 422 && (len(body.Fields) != 1 || body.Fields[0].Name != "events[2].url") {
				t.Errorf("fields: got %v", body.Fields)
			}
		})
	}
}

// TestWhatIsSaid: a door is told what it takes itself, not what others take.
func TestWhatIsSaid(t *testing.T) {
	t.Parallel()
	var fields consent.FieldError
	fields.Add("tid", "names a property that is not this site's")
	for name, tt := range map[string]struct {
		err       error
		want, not string
	}{
		"a door of forms":  {consent.ErrNotForm, "application/x-www-form-urlencoded", "application/json"},
		"a door of JSON":   {consent.ErrMediaType, "application/json", "form-urlencoded"},
		"query or a form":  {&fields, "these fields cannot be used", "JSON"},
		"wrapped, at that": {fmt.Errorf("choices: %w", consent.ErrNotForm), "This door takes a form", "JSON"},
	} {
		if p, _ := problemOf(tt.err); !strings.Contains(p.Detail, tt.want) || strings.Contains(p.Detail, tt.not) {
			t.Errorf("%s: %q, want %q and not %q", name, p.Detail, tt.want, tt.not)
		}
	}
}

func TestPanicIsAFiveHundred(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	e := echo.New()
	e.HTTPErrorHandler = errorHandler(log, nil)
	e.Use(requestID, accessLog(log, newMetrics()), recoverer)
	e.GET("/x", func(echo.Context) error { panic("203.0.113.5 did something") })
	w := httptest.NewRecorder()
	e.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/x", nil))
	if w.Code != http.StatusInternalServerError {
		t.Errorf("got %d, want 500", w.Code)
	}
	if strings.Contains(w.Body.String(), "203.0.113.5") {
		t.Errorf("body tells what panicked: %s", w.Body)
	}
	if n := strings.Count(out.String(), "level=ERROR"); n != 1 || !strings.Contains(out.String(), "server_test.go") {
		t.Errorf("%d lines in the log, want one that says where: %s", n, &out)
	}
}

func TestTokenKeys(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := tokenKeys(nil, dir, true); err == nil || !strings.Contains(err.Error(), "receipts exist") {
		t.Errorf("receipts without their key: got %v", err)
	}
	first, err := tokenKeys(nil, dir, false)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, tokenKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("mode: got %04o, want 0600", got)
	}
	second, err := tokenKeys(nil, dir, true)
	if err != nil {
		t.Fatal(err)
	}
	raw := first.Sign(consent.Token{Issued: 1}, "example.com")
	if _, err := second.Parse(raw, "example.com"); err != nil {
		t.Errorf("a token of before the restart: %v", err)
	}
	if err := os.Chmod(filepath.Join(dir, tokenKeyFile), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := tokenKeys(nil, dir, true); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a key that all may read: got %v", err)
	}
}

func TestOneServerPerDataDir(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	release, err := lockDataDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockDataDir(dir); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("second server: got %v, want the holder's id", err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	release, err = lockDataDir(dir)
	if err != nil {
		t.Fatalf("after the first has gone: %v", err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
}

func TestLoginAndSession(t *testing.T) {
	t.Parallel()
	hash, err := HashPassword("correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	c := &config.Config{
		Server: config.Server{PublicURL: "https://stats.example.com"},
		Users:  []config.User{{Email: "Ada@example.com", PasswordHash: config.Secret(hash), Role: "viewer", Sites: []string{"example.com"}}},
		APIKeys: []config.APIKey{{Name: "k", Sites: []string{"example.com"},
			KeyHash: "sha256:2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683"}}, // of "key"
	}
	a, err := newAuth(c, nil, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	from := netip.MustParseAddr("203.0.113.5")
	for _, wrong := range []struct{ email, password string }{{"ada@example.com", "wrong"}, {"nobody@example.com", "correct horse battery"}} {
		if _, err := a.login(t.Context(), attempt{email: wrong.email, password: wrong.password, from: from}); !errors.Is(err, errWrongLogin) {
			t.Errorf("%s with %s: got %v, want errWrongLogin", wrong.email, wrong.password, err)
		}
	}
	reference, err := a.login(t.Context(), attempt{email: "ada@EXAMPLE.com", password: "correct horse battery", from: from})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "/dashboards", nil)
	if _, ok := a.user(r); ok {
		t.Error("a request without a cookie is logged in")
	}
	cookie := a.cookie(r, sessionCookie, reference, sessionAbsolute)
	if !strings.HasPrefix(cookie.Name, "__Host-") || !cookie.Secure || !cookie.HttpOnly {
		t.Errorf("cookie: %v", cookie)
	}
	r.AddCookie(cookie)
	u, ok := a.user(r)
	if !ok || !sees(u, "example.com") || sees(u, "other.com") {
		t.Errorf("user: got %v, %v", u, ok)
	}
	r.Header.Set("Authorization", "Bearer key")
	if !a.keyFor(r, "example.com") || a.keyFor(r, "other.com") {
		t.Error("API key: opens the wrong site, or not its own")
	}
	r.Header.Set("Authorization", "Bearer yek")
	if a.keyFor(r, "example.com") {
		t.Error("a wrong API key opens a site")
	}
	for i := range networkFailures {
		_, _ = a.login(t.Context(), attempt{email: fmt.Sprintf("eve%d@example.com", i), password: "guess", from: netip.MustParseAddr("198.51.100.1")})
	}
	if _, err := a.login(t.Context(), attempt{email: "ada@example.com", password: "correct horse battery", from: netip.MustParseAddr("198.51.100.77")}); !errors.Is(err, consent.ErrTooMany) {
		t.Errorf("after %d guesses from one network: got %v, want ErrTooMany", networkFailures, err)
	}
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := file("good.yaml", "sites: [{domain: example.com}]\n")
	later := file("later.yaml", "mail: {host: smtp.example.com, from: a@example.com}\nsites: [{domain: example.com}]\n")
	bad := file("bad.yaml", "sites: [{domain: example.com, colour: red}]\n")
	tests := []struct {
		name          string
		args          []string
		in            string
		status        int
		out, problems string
	}{
		{"nothing", nil, "", 2, "", "a command is needed"},
		{"help", []string{"help"}, "", 0, "sluice serve --config F", ""},
		{"unknown", []string{"srve"}, "", 2, "", `there is no command "srve"`},
		{"half a command", []string{"user"}, "", 2, "", `there is no command "user"`},
		{"unknown flag", []string{"check", "--colour"}, "", 2, "", "flag provided but not defined"},
		{"argument too many", []string{"check", "x"}, "", 2, "", "one argument too many"},
		{"option behind the query", []string{"sql", "SELECT 1", "--format", "csv"}, "", 2, "", "--format comes too late"},
		{"unknown format", []string{"sql", "--format", "xml", "SELECT 1"}, "", 2, "", "not one of table, csv, json"},
		{"check, fine", []string{"check", "--config", good}, "", 0, "is fine", ""},
		{"check, later", []string{"check", "--config", later}, "", 0, "mail: not available yet", ""},
		{"check, bad", []string{"check", "--config", bad}, "", 2, "", "bad.yaml:1:31: sites[0].colour: unknown key"},
		{"check, missing", []string{"check", "--config", filepath.Join(dir, "none.yaml")}, "", 2, "", "there is no"},
		{"serve, bad", []string{"serve", "--config", bad}, "", 2, "", "unknown key"},
		{"doctor, no scheme", []string{"doctor", "--config", good, "example.com"}, "", 2, "", `doctor: "example.com" has no scheme; write https://example.com`},
		{"doctor, a port", []string{"doctor", "--config", good, "example.com:8080/x"}, "", 2, "", "write https://example.com:8080/x"},
		{"doctor, another scheme", []string{"doctor", "--config", good, "ftp://example.com/"}, "", 2, "", `doctor: "ftp://example.com/" is not the address of a page`},
		{"doctor, nothing", []string{"doctor", "--config", good, ""}, "", 2, "", `doctor: "" is not the address of a page`},
		{"doctor, another site", []string{"doctor", "--config", good, "https://example.org/"}, "", 2, "", "https://example.org/ is of no site in"},
		{"hash", []string{"user", "hash"}, "correct horse battery\n", 0, "$argon2id$v=19$m=19456,t=2,p=1$", ""},
		{"hash of a short one", []string{"user", "hash"}, "short\n", 1, "", "12 to 256"},
		{"version", []string{"version"}, "", 0, "sluice ", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			err := Run(context.Background(), tt.args, strings.NewReader(tt.in), &stdout, &stderr)
			if got := Report(&stderr, err); got != tt.status {
				t.Errorf("status: got %d, want %d", got, tt.status)
			}
			if !strings.Contains(stdout.String(), tt.out) || !strings.Contains(stderr.String(), tt.problems) {
				t.Errorf("out %q, err %q", stdout.String(), stderr.String())
			}
		})
	}
}

func TestTally(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		names []string
		want  string
	}{
		{nil, ""},
		{[]string{"purchase"}, "purchase"},
		{[]string{"page_view", "page_view", "purchase", "page_view"}, "page_view ×3, purchase"},
	} {
		if got := tally(tt.names); got != tt.want {
			t.Errorf("%v: got %q, want %q", tt.names, got, tt.want)
		}
	}
}

func TestLoginLeadsNowhereElse(t *testing.T) {
	t.Parallel()
	for next, want := range map[string]string{
		"":                                     "/dashboards",
		"/dashboards":                          "/dashboards",
		"/dashboards/example.com?period=7d":    "/dashboards/example.com?period=7d",
		"/dashboards/login":                    "/dashboards",
		"/dashboardsx":                         "/dashboards",
		"//evil.example/dashboards":            "/dashboards",
		"https://evil.example/dashboards/x":    "/dashboards",
		`/\evil.example`:                       "/dashboards",
		"/dashboards/\r\nSet-Cookie: a=b":      "/dashboards",
		"javascript:alert(1)":                  "/dashboards",
		"/api/v2/query":                        "/dashboards",
		"//user@evil.example/dashboards/a?b=c": "/dashboards",
	} {
		if got := localPath(next); got != want {
			t.Errorf("localPath(%q): got %q, want %q", next, got, want)
		}
	}
}
