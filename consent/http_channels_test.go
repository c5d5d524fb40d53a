package consent

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
)

var errNoKey = errors.New("no key")

func TestChannelDoors(t *testing.T) {
	t.Parallel()
	other := shop()
	other.Domain = "other.example"
	house := newHouse(t, shop(), other)
	addresses, err := NewAddresses(testKey(7))
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string][]string{"one": {"example.com"}, "both": {"example.com", "other.example"}, "other": {"other.example"}}
	h := &ChannelHandler{Ledger: house.Ledger, Addresses: addresses, Key: func(r *http.Request) ([]string, error) {
		sites := keys[r.Header.Get("Authorization")]
		if sites == nil {
			return nil, errNoKey
		}
		return sites, nil
	}}
	e := echo.New()
	var failed error
	e.HTTPErrorHandler = func(err error, c echo.Context) { failed = errors.Join(err, c.NoContent(http.StatusTeapot)) }
	e.POST("/:channel", h.PostGrant)
	e.POST("/:channel/lookup", h.PostLookup)
	e.POST("/:channel/withdraw", h.PostWithdraw)
	e.GET("/:channel/:id", h.GetGrant)
	e.DELETE("/:channel/:id", h.DeleteGrant)
	send := func(method, path, key, body string) (int, channelState, error) {
		failed = nil
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("Authorization", key)
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		var out channelState
		if failed == nil {
			if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
				t.Fatalf("%s %s: %s", method, path, w.Body)
			}
			if strings.Contains(w.Body.String(), "4155238886") {
				t.Errorf("%s %s answers with the number: %s", method, path, w.Body)
			}
		}
		return w.Code, out, failed
	}

	status, granted, err := send("POST", "/whatsapp", "one", `{"phone":"+1 415 523 8886","lang":"de","notice":"checkout-3","wording":"Ja, schreibt mir."}`)
	if err != nil || status != http.StatusCreated || !granted.Granted || granted.ID == "" || granted.Site != "example.com" || granted.Expires == nil {
		t.Fatalf("grant: %d %+v %v", status, granted, err)
	}
	sum := sha256.Sum256([]byte("Ja, schreibt mir."))
	r, err := DecodeReceipt(granted.Receipt)
	if err != nil || r.ShownHash != hex.EncodeToString(sum[:]) || r.Notice != "checkout-3" || r.NoticeHash != "" || r.Language != "de" || !r.Purposes["whatsapp"] || r.Method != API || r.Hash == "" {
		t.Errorf("receipt: %+v, %v", r, err)
	}
	for _, tt := range []struct {
		name, method, path, key, body string
		granted                       bool
		reason                        Reason
	}{
		{"the number written otherwise", "POST", "/whatsapp/lookup", "both", `{"site":"EXAMPLE.com","phone":"0014155238886"}`, true, Live},
		{"by its id", "GET", "/whatsapp/" + granted.ID, "one", "", true, Live},
		{"another channel", "POST", "/sms/lookup", "one", `{"phone":"+14155238886"}`, false, NoConsent},
		{"another site", "POST", "/whatsapp/lookup", "other", `{"phone":"+14155238886"}`, false, NoConsent},
		{"an objection elsewhere", "POST", "/whatsapp/withdraw", "other", `{"phone":"+14155238886"}`, false, Withdrawn},
		{"which changes nothing here", "GET", "/whatsapp/" + granted.ID, "one", "", true, Live},
		{"withdrawn", "DELETE", "/whatsapp/" + granted.ID, "one", "", false, Withdrawn},
		{"asked by number", "POST", "/whatsapp/lookup", "one", `{"phone":"+14155238886"}`, false, Withdrawn},
		{"asked by id", "GET", "/whatsapp/" + granted.ID, "one", "", false, Withdrawn},
		{"by e-mail", "POST", "/email", "one", `{"email":"Ada@example.com"}`, true, Live},
	} {
		if _, got, err := send(tt.method, tt.path, tt.key, tt.body); err != nil || got.Granted != tt.granted || got.Reason != tt.reason {
			t.Errorf("%s: %+v %v, want granted %v, %q", tt.name, got, err, tt.granted, tt.reason)
		}
	}
	for _, tt := range []struct {
		name, method, path, key, body, want string
	}{
		{"no key", "POST", "/whatsapp", "", `{`, errNoKey.Error()},
		{"no key for an id", "GET", "/whatsapp/" + granted.ID, "", "", errNoKey.Error()},
		{"no such channel", "POST", "/fax", "one", `{}`, ErrUnknownChannel.Error()},
		{"which site?", "POST", "/sms", "both", `{"phone":"+14155238886"}`, "site: is missing"},
		{"unknown site", "POST", "/sms", "one", `{"site":"no.example","phone":"+14155238886"}`, ErrUnknownSite.Error()},
		{"not covered", "POST", "/sms", "one", `{"site":"other.example","phone":"+14155238886"}`, ErrNotCovered.Error()},
		{"no number", "POST", "/sms", "one", `{}`, "phone: is missing"},
		{"e-mail for a number", "POST", "/sms", "one", `{"email":"ada@example.com"}`, "phone: is missing: the channel sms is asked for by it"},
		{"number for e-mail", "POST", "/email", "one", `{"phone":"+14155238886"}`, "email: is missing"},
		{"no country", "POST", "/sms", "one", `{"phone":"0151 1234567"}`, "phone: is not a phone number with its country"},
		{"language", "POST", "/sms", "one", `{"phone":"+14155238886","lang":"the german one"}`, "lang: is not a language tag"},
		{"wording", "POST", "/sms", "one", `{"phone":"+14155238886","wording":"` + strings.Repeat("ü", 2001) + `"}`, "wording: is longer than 2000 characters"},
		{"not JSON", "POST", "/sms", "one", `phone=1`, ErrNotJSON.Error()},
		{"too large", "POST", "/sms", "one", `{"wording":"` + strings.Repeat("x", maxChannelBody) + `"}`, ErrTooLarge.Error()},
		{"another site's id", "GET", "/whatsapp/" + granted.ID, "other", "", ErrUnknownGrant.Error()},
		{"another channel's id", "DELETE", "/sms/" + granted.ID, "one", "", ErrUnknownGrant.Error()},
		{"no id", "GET", "/whatsapp/x", "one", "", ErrUnknownGrant.Error()},
	} {
		if _, got, err := send(tt.method, tt.path, tt.key, tt.body); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %+v, %v; want %q", tt.name, got, err, tt.want)
		}
	}
}
