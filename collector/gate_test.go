package collector

import (
	"fmt"
	"testing"
	"time"

	"sluice/consent"
)

// TestGate is the whole table: purpose × service × signal × notice × token ×
// time. A failure reads as law.
func TestGate(t *testing.T) {
	t.Parallel()
	const (
		kept     = "kept"
		unshared = "kept, forwarded to nobody"
	)
	choices := []struct {
		name  string
		token func(*consent.Token)
		want  string // without signal, under the current notice, now
	}{
		{"analytics granted", func(*consent.Token) {}, kept},
		{"analytics refused", func(t *consent.Token) { t.Purposes = 0 }, "no_consent"},
		{"preference alone granted", func(t *consent.Token) { t.Purposes = 1 << 1 }, "no_consent"},
		{"statistics switched off", func(t *consent.Token) { t.Denied = 1 << 0 }, "no_consent"},
		{"Google switched off", func(t *consent.Token) { t.Denied = 1 << 1 }, kept},
	}
	signals := []struct {
		name         string
		sent, before bool // with the event; when the choice was made
	}{
		{"no signal", false, false},
		{"GPC set since", true, false},
		{"GPC set then and now", true, true},
		{"GPC set then", false, true},
	}
	notices := []struct {
		name  string
		token func(*consent.Token)
		want  string // "": as under the current notice
	}{
		{"current notice", func(*consent.Token) {}, ""},
		{"a notice unknown here", func(t *consent.Token) { t.Notice ^= 1 }, "stale_notice"},
	}
	times := []struct {
		name string
		ts   time.Duration // before now; sent along
		age  time.Duration // of the token
		want string        // "": as now
	}{
		{"now", 0, time.Hour, ""},
		{"an hour after the choice", time.Hour, 2 * time.Hour, ""},
		{"in the second of the choice", time.Hour, time.Hour, ""},
		{"a minute before the choice", time.Hour + time.Minute, time.Hour, ""},
		{"61 seconds before the choice", time.Hour + 61*time.Second, time.Hour, "no_consent"},
		{"on the last day", 0, 180*24*time.Hour - time.Second, ""},
		{"after 180 days", 0, 180 * 24 * time.Hour, "expired"},
	}
	for _, choice := range choices {
		for _, signal := range signals {
			for _, notice := range notices {
				for _, when := range times {
					want := choice.want
					if want == kept && signal.sent && !signal.before {
						want = unshared
					}
					// What a token is worth at all comes before what it grants.
					if when.want != "" {
						want = when.want
					}
					if notice.want != "" {
						want = notice.want
					}
					name := fmt.Sprintf("%s, %s, %s, %s", choice.name, signal.name, notice.name, when.name)
					t.Run(name, func(t *testing.T) {
						t.Parallel()
						h := newHouse(t)
						token := h.grant(choice.token, notice.token, func(k *consent.Token) {
							k.Issued = uint32(noon.Add(-when.age).Unix())
							if signal.before {
								k.Purposes |= 1 << 15
							}
						})
						var options []requestOption
						if signal.sent {
							options = append(options, with("Sec-GPC", "1"))
						}
						body := fmt.Sprintf(`{"name":"pageview","url":"https://example.com/","ts":%d}`, noon.Add(-when.ts).UnixMilli())
						got := h.post(envelopeOf(h.sign(token), body), options...).reasons()
						if got == "" {
							if got = kept; h.only().NoForward {
								got = unshared
							}
						}
						if got != want {
							t.Errorf("%s: %s, want %s", name, got, want)
						}
					})
				}
			}
		}
	}
}

func TestGateByToken(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		token   func(*house) string // in the body
		options func(*house) []requestOption
		want    string
	}{
		{"no token: no_consent", func(*house) string { return "" }, nil, "no_consent"},
		{"no token, GPC set: gpc", func(*house) string { return "" }, func(*house) []requestOption { return []requestOption{with("Sec-GPC", "1")} }, "gpc"},
		{"no token, Sec-GPC of 1, 1 is no signal", func(*house) string { return "" }, func(*house) []requestOption { return []requestOption{with("Sec-GPC", "1, 1")} }, "no_consent"},
		{"in the body: kept", func(h *house) string { return h.sign(h.grant()) }, nil, ""},
		{"in the header: kept", func(*house) string { return "" }, func(h *house) []requestOption {
			return []requestOption{with("Sluice-Token", h.sign(h.grant()))}
		}, ""},
		{"in the cookie: kept", func(*house) string { return "" }, func(h *house) []requestOption {
			return []requestOption{with("Cookie", "sl_proof="+h.sign(h.grant()))}
		}, ""},
		{"a bad one in the body never falls back to the cookie", func(*house) string { return "x" }, func(h *house) []requestOption {
			return []requestOption{with("Cookie", "sl_proof="+h.sign(h.grant()))}
		}, "bad_token"},
		{"a bad one in the header never falls back to the cookie", func(*house) string { return "" }, func(h *house) []requestOption {
			return []requestOption{with("Sluice-Token", "x"), with("Cookie", "sl_proof="+h.sign(h.grant()))}
		}, "bad_token"},
		{"truncated: bad_token", func(h *house) string { return h.sign(h.grant())[:110] }, nil, "bad_token"},
		{"one character changed: bad_token", func(h *house) string {
			b := []byte(h.sign(h.grant()))
			b[60] ^= 1
			return string(b)
		}, nil, "bad_token"},
		{"of another site: wrong_site", func(h *house) string { return h.ledger.Keys.Sign(h.grant(), "other.test") }, nil, "wrong_site"},
		{"of another server: bad_token", func(h *house) string {
			keys, err := consent.NewKeys(make([]byte, 32))
			if err != nil {
				h.t.Fatal(err)
			}
			return keys.Sign(h.grant(), "example.com")
		}, nil, "bad_token"},
		{"withdrawn: withdrawn", func(h *house) string {
			token := h.grant()
			h.ledger.Index.Apply(token.Consent, &consent.Cut{All: consent.Forever})
			return h.sign(token)
		}, nil, "withdrawn"},
		{"statistics withdrawn since: withdrawn", func(h *house) string {
			token := h.grant()
			h.ledger.Index.Apply(token.Consent, &consent.Cut{Services: map[string]uint32{consent.Statistics: token.Issued + 1}})
			return h.sign(token)
		}, nil, "withdrawn"},
		{"preference withdrawn since: kept", func(h *house) string {
			token := h.grant()
			h.ledger.Index.Apply(token.Consent, &consent.Cut{Purposes: map[consent.Purpose]uint32{consent.Preference: token.Issued + 1}})
			return h.sign(token)
		}, nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			var options []requestOption
			if tt.options != nil {
				options = tt.options(h)
			}
			got := h.post(envelopeOf(tt.token(h), pageview), options...)
			if got.reasons() != tt.want {
				t.Errorf("dropped as %q, want %q", got.reasons(), tt.want)
			}
			if header := got.header.Get(DroppedHeader); header != tt.want {
				t.Errorf("%s is %q, want %q", DroppedHeader, header, tt.want)
			}
			if n := h.disk.counted(consent.CountRefusal, tt.want); tt.want != "" && n != 1 {
				t.Errorf("%d refusals as %s are counted, want 1", n, tt.want)
			}
		})
	}
}

// Nothing about a visitor is looked at before the gate.
func TestGateComesBeforeEnrichment(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(o *Options) {
		site := o.Sites["example.com"]
		site.ExcludeIPs = append(site.ExcludeIPs, mustPrefix(visitorIP+"/32"))
		o.Sites["example.com"] = site
	})
	refused := h.grant(func(k *consent.Token) { k.Purposes = 0 })
	if got := h.post(envelopeOf(h.sign(refused), pageview), with("User-Agent", "curl/8")).reasons(); got != "no_consent" {
		t.Errorf("without consent the address or agent decided: %s, want no_consent", got)
	}
	if got := h.post(envelopeOf(h.sign(h.grant()), pageview), with("User-Agent", "curl/8")).reasons(); got != "excluded" {
		t.Errorf("with consent: %s, want excluded", got)
	}
}

func TestZeroPermitAdmitsNothing(t *testing.T) {
	t.Parallel()
	admitted := (Permit{}).Admit(Event{Name: "pageview"})
	if b, err := admitted.AppendBinary(nil); err == nil || len(b) > 0 {
		t.Errorf("an event that passed no gate has %d bytes (%v)", len(b), err)
	}
}

func BenchmarkGate(b *testing.B) {
	h := newHouse(b)
	raw := h.sign(h.grant())
	b.ReportAllocs()
	for b.Loop() {
		token, reason := h.ledger.Authenticate(raw, h.policy)
		if reason == consent.Live {
			_, reason = Gate(h.policy, token, h.ledger.Index.Cut(token.Consent), noon)
		}
		if reason != consent.Live {
			b.Fatal(reason)
		}
	}
}
