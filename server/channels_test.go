package server

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/server/config"
)

// channelsOf is a server whose backend and whose Twilio may speak about
// channels; ClickHouse is away.
func channelsOf(t *testing.T, dir string) *running {
	t.Helper()
	return startOf(t, channelsConfig(t, dir), time.Now)
}

func channelsConfig(t *testing.T, dir string) *config.Config {
	t.Helper()
	sum := sha256.Sum256([]byte("key"))
	c, err := config.Parse(fmt.Appendf(nil, `
server: {listen: "127.0.0.1:0", metrics_listen: "localhost:0"}
data_dir: %s
clickhouse: {url: "http://127.0.0.1:1/sluice"}
sites: [{domain: example.com, public_url: "https://example.com/_s"}, {domain: other.example}]
api_keys: [{name: shop, key_hash: "sha256:%s", sites: [example.com]}]
hooks: {twilio: {auth_token: token-of-the-test}, meta: {app_secret: secret-of-the-test, verify_token: verify, sites: [Example.com]}, keywords: [Ruhe]}
`, dir, hex.EncodeToString(sum[:])), dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// shop sends what the site's backend would.
func (r *running) shop(t *testing.T, method, path, body string) (int, map[string]any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.public+"/api/v1/channels"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer key")
	req.Header.Set("Content-Type", "application/json")
	status, text := exchange(t, req)
	var got map[string]any
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("%s %s: %d %s", method, path, status, text)
	}
	return status, got
}

// texts sends what Twilio would where somebody writes.
func (r *running) texts(t *testing.T, door string, form url.Values) (int, string) {
	t.Helper()
	signed := "https://example.com/_s/hooks/twilio"
	for _, k := range slices.Sorted(maps.Keys(form)) {
		signed += k + form.Get(k)
	}
	m := hmac.New(sha1.New, []byte("token-of-the-test"))
	m.Write([]byte(signed))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.public+door, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("X-Twilio-Signature", base64.StdEncoding.EncodeToString(m.Sum(nil)))
	return exchange(t, req)
}

// TestStopOverWhatsApp is the way of an opt-out: the shop records a grant, the
// person writes STOP, and from then on the shop is told not to write; also after
// a crash, and with the number nowhere on the disk.
func TestStopOverWhatsApp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := channelsOf(t, dir)
	const number = "15005550006"
	status, granted := r.shop(t, "POST", "/whatsapp/grants", `{"phone":"+1 (500) 555-0006","wording":"Yes, write to me."}`)
	if status != http.StatusCreated || granted["granted"] != true {
		t.Fatalf("grant: %d %v", status, granted)
	}
	id := fmt.Sprint(granted["id"])
	if status, got := r.shop(t, "GET", "/whatsapp/grants/"+id, ""); status != 200 || got["granted"] != true {
		t.Errorf("by id: %d %v", status, got)
	}
	stop := url.Values{"From": {"whatsapp:+" + number}, "To": {"whatsapp:+14155238886"}, "Body": {"Stop!"}, "MessageSid": {"SM1"}}
	if status, body := r.texts(t, "/_s/hooks/twilio", stop); status != 200 || !strings.Contains(body, "<Response/>") {
		t.Fatalf("STOP: %d %s", status, body)
	}
	stop.Set("MessageSid", "SM2")
	if status, body := r.texts(t, "/hooks/twilio", stop); status != 200 { // the prefix stripped
		t.Errorf("STOP again: %d %s", status, body)
	}
	for door, want := range map[string]int{"/_s/hooks/twilio?x=1": 403, "/_s/hooks/meta": 403, "/_s/hooks/green-api": 404, "/_s/hooks/fax": 404} {
		if status, body := r.texts(t, door, stop); status != want {
			t.Errorf("%s: %d %s, want %d", door, status, body, want)
		}
	}
	withdrawn := func(r *running, when string) {
		t.Helper()
		for _, ask := range []struct{ method, path, body string }{
			{"GET", "/whatsapp/grants/" + id, ""}, {"POST", "/whatsapp/grants/lookup", `{"phone":"+` + number + `"}`},
		} {
			if status, got := r.shop(t, ask.method, ask.path, ask.body); status != 200 || got["granted"] != false || got["reason"] != "withdrawn" || got["id"] != id {
				t.Errorf("%s: %s %s: %d %v", when, ask.method, ask.path, status, got)
			}
		}
	}
	withdrawn(r, "after STOP")
	if head := r.state.journal.head(); head.N != 2 {
		t.Errorf("the ledger has %d receipts, want the grant and one withdrawal", head.N)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}

	// A crash before the index was saved: the spool alone knows.
	index := filepath.Join(dir, "consent.idx")
	saved, err := os.ReadFile(index)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(index); err != nil {
		t.Fatal(err)
	}
	r = channelsOf(t, dir)
	withdrawn(r, "from the spool")
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(saved, []byte(id)) {
		t.Error("the saved index does not hold the grant")
	}
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte("5550006")) {
			t.Errorf("%s holds the number", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if log := r.log.String(); strings.Contains(log, "5550006") {
		t.Errorf("the log holds the number:\n%s", log)
	}

	// With another key, or without, nobody would be recognised.
	other := filepath.Join(dir, phoneKeyFile)
	mine, err := os.ReadFile(other)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(other, []byte(base64.StdEncoding.EncodeToString(make([]byte, 32))), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := assemble(channelsConfig(t, dir), slog.New(slog.DiscardHandler), time.Now); err == nil || !strings.Contains(err.Error(), "is another key than the one under which 1 contacts are kept") {
		t.Errorf("with another key: %v", err)
	}
	if err := os.WriteFile(other, mine, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := channelsOf(t, dir).stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, phoneKeyFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := phoneKey("", dir, 1); err == nil || !strings.Contains(err.Error(), "restore the file from a backup") {
		t.Errorf("without the key: %v", err)
	}
	if _, err := phoneKey("", dir, 0); err != nil {
		t.Errorf("without a key and without contacts: %v", err)
	}
}

// TestMetaOfTheServer: the door takes as much as Meta sends at once, and words
// and sites of the configuration.
func TestMetaOfTheServer(t *testing.T) {
	t.Parallel()
	r := channelsOf(t, t.TempDir())
	if status, got := r.shop(t, "POST", "/whatsapp/grants", `{"phone":"+15005550006"}`); status != http.StatusCreated {
		t.Fatalf("grant: %d %v", status, got)
	}
	body := `{"entry":[{"changes":[{"value":{"contacts":"` + strings.Repeat("x", 3<<19) + `","messages":[{"from":"15005550006","id":"1","text":{"body":"ruhe!"}},{"from":"15005550007","id":"2","text":{"body":"STOP"}}]}}]}]}`
	m := hmac.New(sha256.New, []byte("secret-of-the-test"))
	m.Write([]byte(body))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.public+"/_s/hooks/meta", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(m.Sum(nil)))
	status, text := exchange(t, req)
	for who, number := range map[string]string{"who had agreed": "+15005550006", "a stranger, to the one site that Meta serves": "+15005550007"} {
		if _, got := r.shop(t, "POST", "/whatsapp/grants/lookup", `{"phone":"`+number+`"}`); status != 200 || got["reason"] != "withdrawn" {
			t.Errorf("%s, in %d bytes of Meta's: %d %s, then %v", who, len(body), status, text, got)
		}
	}
	if status, body := r.ask(t, http.MethodGet, r.public+"/_s/hooks/meta?hub.mode=subscribe&hub.verify_token=verify&hub.challenge=42", "", ""); status != 200 || body != "42" {
		t.Errorf("the challenge: %d %s", status, body)
	}
}
