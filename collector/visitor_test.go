package collector

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/labstack/echo/v4"

	"sluice/consent"
)

func TestVisitor(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, cookie, body string
		want               string // "": the hash of the day
	}{
		{"the cookie", "sl_id=1.abc_-9.1795000000", "body", "abc_-9"},
		{"the cookie among others", `a=b; sl_id="1.abc.1795000000"; c`, "", "abc"},
		{"the body without a cookie", "", "body", "body"},
		{"the body where the cookie is damaged", "sl_id=1.abc", "body", "body"},
		{"another version's cookie", "sl_id=2.abc.1795000000", "body", "body"},
		{"a cookie of markup", "sl_id=1.<b>.1795000000", "body", "body"},
		{"a body of 65", "", strings.Repeat("x", 65), ""},
		{"nothing", "", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			h.post(envelopeOf(h.sign(h.grant()), fmt.Sprintf(`{"name":"x","url":"https://example.com/","visitor":%q}`, tt.body)), with("Cookie", tt.cookie))
			want := tt.want
			if want == "" {
				want = visitorOfDay(h.handler.days.today(), "example.com", netip.MustParseAddr(visitorIP), chrome)
			}
			if got := h.only().Visitor; got != want {
				t.Errorf("visitor %q, want %q", got, want)
			}
		})
	}
}

// The key turns at midnight UTC and never comes back; a new server draws its
// own.
func TestDayKeyRotation(t *testing.T) {
	t.Parallel()
	hash := func(h *house) string {
		h.disk.events = nil
		h.post(envelopeOf(h.sign(h.grant()), pageview))
		return h.only().IPHash
	}
	h := newHouse(t)
	today := hash(h)
	h.pass(12*time.Hour - time.Second)
	if got := hash(h); got != today {
		t.Errorf("the hash changed before midnight: %s, want %s", got, today)
	}
	h.pass(time.Second)
	tomorrow := hash(h)
	if tomorrow == today {
		t.Error("the hash is the same after midnight")
	}
	h.pass(-time.Second)
	if got := hash(h); got == today {
		t.Error("a key that was replaced came back with the clock")
	}
	if got := hash(newHouse(t)); got == today {
		t.Error("another server has the same key")
	}
}

// The old key goes at midnight also when nobody comes by.
func TestRunForgetsTheKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.ledger.Now = time.Now
		held := func() *mac {
			h.handler.days.mu.RLock()
			defer h.handler.days.mu.RUnlock()
			return h.handler.days.mac
		}
		first := h.handler.days.today()
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- h.handler.Run(ctx) }()
		midnight := time.Now().UTC().Truncate(24 * time.Hour).Add(24 * time.Hour)
		time.Sleep(time.Until(midnight) - time.Nanosecond)
		synctest.Wait()
		if held() != first {
			t.Error("the key is gone before midnight")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if held() == first {
			t.Error("the key is still there at midnight")
		}
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run ended with %v", err)
		}
	})
}

// TestMidnightDrawsOneKey: of all that look at the clock around midnight none
// draws a key for the day that is over.
func TestMidnightDrawsOneKey(t *testing.T) {
	t.Parallel()
	midnight := noon.Truncate(24 * time.Hour).Add(24 * time.Hour)
	var clock atomic.Int64
	clock.Store(int64(-20 * time.Microsecond))
	k := &dayKeys{now: func() time.Time { return midnight.Add(time.Duration(clock.Add(int64(time.Microsecond)))) }}
	var mu sync.Mutex
	keys := map[*mac]bool{}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				m := k.today()
				mu.Lock()
				keys[m] = true
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if len(keys) != 2 {
		t.Errorf("%d keys were drawn around midnight, want yesterday's and today's", len(keys))
	}
}

func TestGoogleClientID(t *testing.T) {
	t.Parallel()
	derived := regexp.MustCompile(`^[1-9]\d*\.[1-9]\d*$`)
	post := func(h *house, cookies string, token consent.Token) string {
		h.disk.events = nil
		h.post(envelopeOf(h.sign(token), pageview), with("Cookie", cookies))
		return h.only().GAClientID
	}
	h := newHouse(t)
	token := h.grant()
	for cookies, want := range map[string]string{
		"_ga=GA1.1.1234567.1700000000": "1234567.1700000000",
		"_ga=GA1.2-2.99.1700000000":    "99.1700000000",
	} {
		if got := post(h, cookies, token); got != want {
			t.Errorf("with %s: %q, want %q", cookies, got, want)
		}
	}
	ada := post(h, "sl_id=1.ada.1700000000", token)
	if !derived.MatchString(ada) {
		t.Errorf("derived client id %q has not the shape of gtag's", ada)
	}
	for _, bad := range []string{"_ga=GA1.1.0.5", "_ga=GA1.1.5", "_ga=GA1.1.05.5", "_ga=1.2.3.4", "_ga=GA1.1.5.<b>", "_ga="} {
		if got := post(h, "sl_id=1.ada.1700000000; "+bad, token); got != ada {
			t.Errorf("with %s: %q, want the derived %q", bad, got, ada)
		}
	}
	if got := post(h, "sl_id=1.bob.1700000000", token); got == ada {
		t.Error("two visitors have one client id")
	}
	nobody := post(h, "", token)
	h.pass(24 * time.Hour)
	if got := post(h, "", token); got != nobody {
		t.Errorf("without a visitor id the client id changed overnight: %q, want %q", got, nobody)
	}
	off := h.grant(func(k *consent.Token) { k.Denied = 1 << 1 })
	if got := post(h, "_ga=GA1.1.1234567.1700000000", off); got != "" {
		t.Errorf("with Google switched off the client id is %q, want none", got)
	}
}

// TestGoogleSession reads the cookies that gtag.js keeps of a visit, in both
// layouts and whatever letters they have beside the session.
func TestGoogleSession(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, cookies, want string }{
		{"GS1", "_ga_TEST=GS1.1.1748246127.6.1.1748248990.22.0.263126385", "1748246127"},
		{"GS2", "_ga_TEST=GS2.1.s1748246127$o6$g1$t1748248990$j22$l0$h263126385", "1748246127"},
		{"GS2 with an unknown letter", "_ga_TEST=GS2.1.s1748246127$o6$g1$t1748248990$j22$l0$h263126385$dQn_x1", "1748246127"},
		{"GS2 in another order", "_ga_TEST=GS2.2.o6$s1748246127$g1", "1748246127"},
		{"another property", "_ga_OTHER=GS1.1.1748246127.6.1", ""},
		{"the client's cookie", "_ga=GA1.1.1234567.1700000000", ""},
		{"a layout to come", "_ga_TEST=GS3.1.s1748246127", ""},
		{"no number", "_ga_TEST=GS2.1.sabc$o1", ""},
		{"zero", "_ga_TEST=GS1.1.0.1", ""},
		{"cut off", "_ga_TEST=GS2", ""},
	}
	for _, tt := range tests {
		h := http.Header{"Cookie": {"x=1; " + tt.cookies}}
		if got := GoogleSession(googleSessions(h, []string{"G-NONE", "G-TEST"}), "G-TEST"); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
	both := googleSessions(http.Header{"Cookie": {"_ga_A=GS1.1.5.1; _ga_B=GS2.1.s6$o1"}}, []string{"G-A", "G-B"})
	if both != "G-A=5 G-B=6" || GoogleSession(both, "G-B") != "6" || GoogleSession(both, "G-C") != "" {
		t.Errorf("of two properties: %q", both)
	}
}

func TestClientIPPrintsRedacted(t *testing.T) {
	t.Parallel()
	ip := ClientIP(netip.MustParseAddr(visitorIP))
	var log bytes.Buffer
	noTime := func(_ []string, a slog.Attr) slog.Attr { // whose digits could be the address's
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{ReplaceAttr: noTime})).Info("x", "ip", ip, "in", struct{ IP ClientIP }{ip})
	j, err := json.Marshal(map[string]any{"ip": ip})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{fmt.Sprint(ip), fmt.Sprintf("%d %x %#v %+v %q %s", ip, ip, ip, ip, ip, ip), log.String(), string(j)} {
		if strings.Contains(s, "203") || strings.Contains(s, "113") || strings.Contains(s, "cb00") {
			t.Errorf("printed as %s", s)
		}
	}
}

// TestNoAddressAnywhere: what reaches the disk holds the visitor's address in
// no form, whatever the client puts beside it.
func TestNoAddressAnywhere(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{visitorIP, "2001:db8:77:1:2:3:4:5"} {
		t.Run(raw, func(t *testing.T) {
			t.Parallel()
			addr := netip.MustParseAddr(raw)
			h := newHouse(t, func(o *Options) { o.ClientIP = func(echo.Context) netip.Addr { return addr } })
			for _, cookies := range []string{"", "sl_id=1.ada.1700000000; sl_s=1795435200.abc"} {
				h.post(envelopeOf(h.sign(h.grant()), pageview, `{"name":"x","url":"https://example.com/?utm_source=a","props":{"a":1}}`),
					with("Cookie", cookies), with("X-Forwarded-For", raw), with("X-Real-IP", raw), with("Forwarded", "for="+raw))
			}
			if len(h.disk.raw) != 4 {
				t.Fatalf("%d events were kept, want 4", len(h.disk.raw))
			}
			for _, record := range h.disk.raw {
				for name, form := range formsOf(addr) {
					if bytes.Contains(bytes.ToLower(record), bytes.ToLower(form)) {
						t.Errorf("the record holds the address as %s", name)
					}
				}
			}
		})
	}
}

// formsOf lists ways to write an address.
func formsOf(a netip.Addr) map[string][]byte {
	b := a.AsSlice()
	reversed := bytes.Clone(b)
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		reversed[i], reversed[j] = reversed[j], reversed[i]
	}
	forms := map[string][]byte{
		"text": []byte(a.String()), "long text": []byte(a.StringExpanded()), "bytes": b, "bytes, little endian": reversed,
		"hex": []byte(hex.EncodeToString(b)),
	}
	if a.Is4() {
		n := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
		forms["a number"] = fmt.Append(nil, n)
		forms["mapped"] = []byte("::ffff:" + a.String())
	}
	return forms
}

func TestCookie(t *testing.T) {
	t.Parallel()
	h := http.Header{"Cookie": {"a=1; b=2=3;c=\"4\"", "d=5; a=6; e"}}
	for name, want := range map[string]string{"a": "1", "b": "2=3", "c": "4", "d": "5", "e": "", "f": "", "": ""} {
		if got := cookie(h, name); got != want {
			t.Errorf("cookie %q = %q, want %q", name, got, want)
		}
	}
}

func BenchmarkAddressHash(b *testing.B) {
	m := newMAC(make([]byte, 32))
	addr := netip.MustParseAddr(visitorIP)
	b.ReportAllocs()
	for b.Loop() {
		ipHash(m, "example.com", addr)
	}
}
