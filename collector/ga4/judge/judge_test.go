package judge

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// post is a request as a careful sender makes it.
func post(body string) Request {
	return Request{
		Method: http.MethodPost,
		Query:  url.Values{"measurement_id": {"G-TEST"}, "api_secret": {"s3cret"}},
		Header: http.Header{"Content-Type": {"application/json"}},
		Body:   []byte(body), At: now,
	}
}

// events wraps events in an otherwise faultless body.
func events(events ...string) string {
	return `{"client_id":"123.456","events":[` + strings.Join(events, ",") + `]}`
}

// params is one event with these params.
func params(name, params string) string {
	return events(fmt.Sprintf(`{"name":%q,"params":{%s}}`, name, params))
}

func many(n int, format string) string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf(format, i))
	}
	return strings.Join(out, ",")
}

// brief is a verdict reduced to what a table can show. Fates has one letter an
// event, in order: a accepted, d dropped.
type brief struct {
	Refused   Code
	Said      []string // rule and code of each message
	Flagged   []string
	Fates     string
	Invisible bool
}

func shorten(v Verdict) brief {
	b := brief{Refused: v.Refused, Invisible: v.Invisible}
	for _, m := range v.Messages {
		b.Said = append(b.Said, fmt.Sprintf("%d %s", m.Rule, m.Code))
	}
	for _, m := range v.Flags {
		b.Flagged = append(b.Flagged, fmt.Sprintf("%d %s", m.Rule, m.Code))
	}
	fates := map[int]string{}
	for _, e := range v.Accepted {
		fates[e.Index] = "a"
	}
	for _, e := range v.Dropped {
		fates[e.Index] = "d"
	}
	for i := range len(fates) {
		b.Fates += fates[i]
	}
	return b
}

// TestRules holds every rule in both modes. want of strict equals want of
// relaxed where strict is nil.
func TestRules(t *testing.T) {
	t.Parallel()
	one := func(s ...string) []string { return s }
	taken := brief{Fates: "a"}
	refused := func(code Code, fates string, said ...string) brief {
		return brief{Refused: code, Said: said, Fates: fates}
	}
	dropped := func(said ...string) brief { return brief{Said: said, Fates: "d"} }
	flagged := func(flags ...string) brief { return brief{Flagged: flags, Fates: "a"} }
	micros := func(d time.Duration) string { return fmt.Sprint(now.Add(d).UnixMicro()) }
	item := func(s string) string { return params("x", `"items":[{`+s+`}]`) }

	tests := []struct {
		name    string
		req     Request
		relaxed brief
		strict  *brief
	}{
		{"a plain hit", post(params("page_view", `"session_id":"1","engagement_time_msec":1`)), taken, nil},
		{"1: content type", func() Request { r := post(events(`{"name":"x"}`)); r.Header = nil; return r }(), flagged("1 VALUE_INVALID"), nil},
		{"1: content type with charset", func() Request {
			r := post(events(`{"name":"x"}`))
			r.Header.Set("Content-Type", "application/json; charset=utf-8")
			return r
		}(), taken, nil},
		{"3: no secret", func() Request { r := post(events(`{"name":"x"}`)); r.Query.Del("api_secret"); return r }(),
			refused(ValueRequired, "d", "3 VALUE_REQUIRED"), nil},
		{"3: empty measurement id", func() Request { r := post(events(`{"name":"x"}`)); r.Query.Set("measurement_id", ""); return r }(),
			refused(ValueRequired, "d", "3 VALUE_REQUIRED"), nil},
		{"4: one byte too many", post(padded(MaxBody)), refused(ValueOutOfBounds, "", "4 VALUE_OUT_OF_BOUNDS"), nil},
		{"4: just small enough", post(padded(MaxBody - 1)), taken, nil},
		{"5: no JSON", post(`{"client_id"`), refused(ValueInvalid, "", "5 VALUE_INVALID"), nil},
		{"5: not UTF-8", post("{\"client_id\":\"\xff\"}"), refused(ValueInvalid, "", "5 VALUE_INVALID"), nil},
		{"5: two values", post(events(`{"name":"x"}`) + `{}`), refused(ValueInvalid, "", "5 VALUE_INVALID"), nil},
		{"5: a list", post(`[]`), refused(ValueInvalid, "", "5 VALUE_INVALID"), nil},
		{"5: too deep", post(`{"user_data":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}`), refused(ValueInvalid, "", "5 VALUE_INVALID"), nil},
		{"5: unknown at the root", post(`{"client_id":"1.2","cid":"1","events":[{"name":"x"}]}`), refused(ValueInvalid, "d", "5 VALUE_INVALID"), nil},
		{"5: unknown in an event", post(events(`{"name":"x","names":"y"}`)), refused(ValueInvalid, "d", "5 VALUE_INVALID"), nil},
		{"5: unknown in consent", post(`{"client_id":"1.2","consent":{"ad_storage":"GRANTED"},"events":[{"name":"x"}]}`), refused(ValueInvalid, "d", "5 VALUE_INVALID"), nil},
		{"5: unknown in user_location", post(`{"client_id":"1.2","user_location":{"country":"DE"},"events":[{"name":"x"}]}`), refused(ValueInvalid, "d", "5 VALUE_INVALID"), nil},
		{"5: unknown in device", post(`{"client_id":"1.2","device":{"os":"x"},"events":[{"name":"x"}]}`), refused(ValueInvalid, "d", "5 VALUE_INVALID"), nil},
		{"5: unknown in a user property", post(`{"client_id":"1.2","user_properties":{"a":{"val":1}},"events":[{"name":"x"}]}`), refused(ValueInvalid, "d", "5 VALUE_INVALID"), nil},
		{"5: a number as text", post(`{"client_id":18,"events":[{"name":"x"}]}`), refused(ValueInvalid, "d", "5 VALUE_INVALID"), nil},
		{"5: a time that is none", post(events(`{"name":"x","timestamp_micros":"soon"}`)), refused(ValueInvalid, "d", "5 VALUE_INVALID"), nil},
		{"5: an unknown mode", post(`{"client_id":"1.2","validation_behavior":"HARSH","events":[{"name":"x"}]}`), refused(ValueInvalid, "d", "5 VALUE_INVALID"), nil},
		{"5: lowerCamel", post(`{"clientId":"1.2","timestampMicros":` + micros(0) + `,"userProperties":{"a":{"value":1}},"events":[{"name":"x","timestampMicros":"` + micros(0) + `"}]}`), taken, nil},
		{"6: no client id", post(`{"events":[{"name":"x"}]}`), refused(ValueRequired, "d", "6 VALUE_REQUIRED"), nil},
		{"7: another form", post(`{"client_id":"18","events":[{"name":"x"}]}`),
			brief{Flagged: one("7 VALUE_INVALID"), Fates: "a", Invisible: true}, ptr(refused(ValueInvalid, "d", "7 VALUE_INVALID"))},
		{"7: leading zero", post(`{"client_id":"0.5","events":[{"name":"x"}]}`),
			brief{Flagged: one("7 VALUE_INVALID"), Fates: "a", Invisible: true}, ptr(refused(ValueInvalid, "d", "7 VALUE_INVALID"))},
		{"7: the whole cookie", post(`{"client_id":"GA1.2-1.1001.1690000000","events":[{"name":"x"}]}`), taken, nil},
		{"8: no events", post(`{"client_id":"1.2"}`), refused(ValueRequired, "", "8 VALUE_REQUIRED"), nil},
		{"8: empty events", post(`{"client_id":"1.2","events":[]}`), refused(ValueRequired, "", "8 VALUE_REQUIRED"), nil},
		{"8: 25 events", post(events(many(25, `{"name":"x%d"}`))), brief{Fates: strings.Repeat("a", 25)}, nil},
		{"8: 26 events", post(events(many(26, `{"name":"x%d"}`))), refused(ExceededMaxEntities, strings.Repeat("d", 26), "8 EXCEEDED_MAX_ENTITIES"), nil},
		{"9: pattern, beside a good one", post(events(`{"name":"x"}`, `{"name":"_x"}`)), brief{Said: one("9 NAME_INVALID"), Fates: "ad"}, nil},
		{"9: 40 characters", post(events(`{"name":"` + strings.Repeat("x", 40) + `"}`)), taken, nil},
		{"9: 41 characters", post(events(`{"name":"` + strings.Repeat("x", 41) + `"}`)), dropped("9 NAME_INVALID"), nil},
		{"9: reserved", post(events(`{"name":"first_visit"}`)), dropped("9 NAME_RESERVED"), nil},
		{"9: of apps", post(events(`{"name":"screen_view"}`)), dropped("9 NAME_RESERVED"), nil},
		{"9: none", post(events(`{"params":{}}`)), dropped("9 VALUE_REQUIRED"), nil},
		{"10: 25 params", post(params("x", many(25, `"p%d":1`))), taken, nil},
		{"10: 26 params", post(params("x", many(26, `"p%d":1`))), flagged("10 EXCEEDED_MAX_ENTITIES"), ptr(dropped("10 EXCEEDED_MAX_ENTITIES"))},
		{"10: 26 user properties", post(`{"client_id":"1.2","user_properties":{` + many(26, `"p%d":{"value":1}`) + `},"events":[{"name":"x"}]}`),
			flagged("10 EXCEEDED_MAX_ENTITIES"), ptr(refused(ExceededMaxEntities, "d", "10 EXCEEDED_MAX_ENTITIES"))},
		{"10: 11 custom item params", post(item(`"item_id":"1","price":2,` + many(11, `"c%d":1`))), flagged("10 EXCEEDED_MAX_ENTITIES"), ptr(dropped("10 EXCEEDED_MAX_ENTITIES"))},
		{"10: 201 items", post(params("x", `"items":[`+many(201, `{"item_id":"%d"}`)+`]`)), flagged("10 EXCEEDED_MAX_ENTITIES"), ptr(dropped("10 EXCEEDED_MAX_ENTITIES"))},
		{"11: param pattern", post(params("x", `"a-b":1`)), flagged("11 NAME_INVALID"), ptr(dropped("11 NAME_INVALID"))},
		{"11: param length", post(params("x", `"`+strings.Repeat("x", 41)+`":1`)), flagged("11 NAME_INVALID"), ptr(dropped("11 NAME_INVALID"))},
		{"11: param reserved", post(params("x", `"firebase_conversion":1`)), flagged("11 NAME_RESERVED"), ptr(dropped("11 NAME_RESERVED"))},
		{"11: param prefix", post(params("x", `"gtag.x":1`)), flagged("11 NAME_RESERVED"), ptr(dropped("11 NAME_RESERVED"))},
		{"11: item param", post(item(`"item_id":"1","_x":1`)), flagged("11 NAME_RESERVED"), ptr(dropped("11 NAME_RESERVED"))},
		{"11: user property reserved", post(`{"client_id":"1.2","user_properties":{"first_open_time":{"value":1}},"events":[{"name":"x"}]}`),
			flagged("11 NAME_RESERVED"), ptr(refused(NameReserved, "d", "11 NAME_RESERVED"))},
		{"11: user property of 25 characters", post(`{"client_id":"1.2","user_properties":{"` + strings.Repeat("x", 25) + `":{"value":1}},"events":[{"name":"x"}]}`),
			flagged("11 NAME_INVALID"), ptr(refused(NameInvalid, "d", "11 NAME_INVALID"))},
		{"12: 100 characters, not bytes", post(params("x", `"p":"`+strings.Repeat("ж", 100)+`"`)), taken, nil},
		{"12: 101 characters", post(params("x", `"p":"`+strings.Repeat("x", 101)+`"`)), flagged("12 VALUE_OUT_OF_BOUNDS"), ptr(dropped("12 VALUE_OUT_OF_BOUNDS"))},
		{"12: session_id is exempt", post(params("x", `"session_id":"`+strings.Repeat("1", 101)+`"`)), taken, nil},
		{"12: item param", post(item(`"item_id":"` + strings.Repeat("x", 101) + `"`)), flagged("12 VALUE_OUT_OF_BOUNDS"), ptr(dropped("12 VALUE_OUT_OF_BOUNDS"))},
		{"12: user id", post(`{"client_id":"1.2","user_id":"` + strings.Repeat("x", 257) + `","events":[{"name":"x"}]}`),
			flagged("12 VALUE_OUT_OF_BOUNDS"), ptr(refused(ValueOutOfBounds, "d", "12 VALUE_OUT_OF_BOUNDS"))},
		{"12: user property", post(`{"client_id":"1.2","user_properties":{"a":{"value":"` + strings.Repeat("x", 37) + `"}},"events":[{"name":"x"}]}`),
			flagged("12 VALUE_OUT_OF_BOUNDS"), ptr(refused(ValueOutOfBounds, "d", "12 VALUE_OUT_OF_BOUNDS"))},
		{"13: null", post(params("x", `"p":null`)), flagged("13 VALUE_INVALID"), ptr(dropped("13 VALUE_INVALID"))},
		{"13: bool", post(params("x", `"p":true`)), flagged("13 VALUE_INVALID"), ptr(dropped("13 VALUE_INVALID"))},
		{"13: object", post(params("x", `"p":{}`)), flagged("13 VALUE_INVALID"), ptr(dropped("13 VALUE_INVALID"))},
		{"13: array", post(params("x", `"p":[1]`)), flagged("13 VALUE_INVALID"), ptr(dropped("13 VALUE_INVALID"))},
		{"13: items that are none", post(params("x", `"items":"a"`)), taken, nil},
		{"13: null in an item", post(item(`"item_id":"1","item_variant":null`)), dropped("13 VALUE_INVALID"), nil},
		{"13: an item that is none", post(params("x", `"items":["a"]`)), dropped("13 VALUE_INVALID"), nil},
		{"13: object in an item", post(item(`"item_id":"1","a":{}`)), flagged("13 VALUE_INVALID"), ptr(dropped("13 VALUE_INVALID"))},
		{"13: user property", post(`{"client_id":"1.2","user_properties":{"a":{"value":true}},"events":[{"name":"x"}]}`),
			flagged("13 VALUE_INVALID"), ptr(refused(ValueInvalid, "d", "13 VALUE_INVALID"))},
		{"14: value as text", post(params("x", `"value":"9.90","currency":"EUR"`)), flagged("14 VALUE_INVALID"), ptr(dropped("14 VALUE_INVALID"))},
		{"14: price as text", post(item(`"item_id":"1","price":"19"`)), flagged("14 VALUE_INVALID"), ptr(dropped("14 VALUE_INVALID"))},
		{"14: price that is none", post(item(`"item_id":"1","price":"$19"`)), dropped("14 INTERNAL_ERROR"), nil},
		{"15: value alone", post(params("x", `"value":9.9`)), flagged("15 VALUE_REQUIRED"), ptr(dropped("15 VALUE_REQUIRED"))},
		{"15: currency in small letters", post(params("x", `"value":9.9,"currency":"eur"`)), flagged("15 VALUE_INVALID"), ptr(dropped("15 VALUE_INVALID"))},
		{"15: virtual currency has no code", post(params("spend_virtual_currency", `"value":9,"virtual_currency_name":"gem"`)), taken, nil},
		{"16: nameless item", post(item(`"price":1`)), flagged("16 VALUE_REQUIRED"), ptr(dropped("16 VALUE_REQUIRED"))},
		{"17: purchase", post(params("purchase", `"value":1,"currency":"EUR","transaction_id":"t","items":[]`)), flagged("17 VALUE_REQUIRED"), ptr(dropped("17 VALUE_REQUIRED"))},
		{"17: purchase, complete", post(params("purchase", `"value":1,"currency":"EUR","transaction_id":"t","items":[{"item_id":"1"}]`)), taken, nil},
		{"17: search", post(params("search", `"search_term":""`)), flagged("17 VALUE_REQUIRED"), ptr(dropped("17 VALUE_REQUIRED"))},
		{"18: 72 hours", post(events(`{"name":"x","timestamp_micros":` + micros(-72*time.Hour) + `}`)), taken, nil},
		{"18: one second older", post(events(`{"name":"x","timestamp_micros":` + micros(-72*time.Hour-time.Second) + `}`)), flagged("18 VALUE_INVALID"), ptr(dropped("18 VALUE_INVALID"))},
		{"18: the request", post(`{"client_id":"1.2","timestamp_micros":"1","events":[{"name":"x"}]}`), flagged("18 VALUE_INVALID"), ptr(refused(ValueInvalid, "d", "18 VALUE_INVALID"))},
		{"19: 11 minutes ahead", post(events(`{"name":"x","timestamp_micros":` + micros(11*time.Minute) + `}`)), flagged("19 VALUE_OUT_OF_BOUNDS"), nil},
		{"20: consent", post(`{"client_id":"1.2","consent":{"ad_user_data":"DENIED","adPersonalization":"GRANTED"},"events":[{"name":"x"}]}`), taken, nil},
		{"20: another word", post(`{"client_id":"1.2","consent":{"ad_user_data":"granted"},"events":[{"name":"x"}]}`), refused(ValueInvalid, "d", "20 VALUE_INVALID"), nil},
		{"21: a key twice", post(`{"client_id":"1.2","client_id":"1.3","events":[{"name":"x"}]}`), refused(NameDuplicated, "d", "21 NAME_DUPLICATED"), nil},
		{"21: a key in both spellings", post(`{"clientId":"1.2","client_id":"1.3","events":[{"name":"x"}]}`), refused(NameDuplicated, "d", "21 NAME_DUPLICATED"), nil},
		{"21: a param twice", post(params("x", `"a":1,"a":2`)), refused(NameDuplicated, "d", "21 NAME_DUPLICATED"), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.relaxed, shorten(Judge(tt.req, Relaxed))); diff != "" {
				t.Errorf("relaxed (-want +got):\n%s", diff)
			}
			want := tt.relaxed
			if tt.strict != nil {
				want = *tt.strict
			}
			if diff := cmp.Diff(want, shorten(Judge(tt.req, Strict))); diff != "" {
				t.Errorf("strict (-want +got):\n%s", diff)
			}
		})
	}
}

func ptr[T any](v T) *T { return &v }

// padded is a faultless body of n bytes.
func padded(n int) string {
	body := events(`{"name":"x"}`)
	return body + strings.Repeat(" ", n-len(body))
}

// TestRequiredParams is rule 17 for each recommended event.
func TestRequiredParams(t *testing.T) {
	t.Parallel()
	for name, wants := range required {
		v := Judge(post(params(name, "")), Strict)
		var got []string
		for _, m := range v.Messages {
			if m.Rule == 17 {
				got = append(got, m.FieldPath[strings.LastIndex(m.FieldPath, ".")+1:])
			}
		}
		if diff := cmp.Diff(wants, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if len(required) != 18 {
		t.Errorf("%d recommended events, want 18", len(required))
	}
}

// TestMessages holds the texts that Google's validation server has been seen
// to answer.
func TestMessages(t *testing.T) {
	t.Parallel()
	missing := func(name string) Request { r := post(events(`{"name":"x"}`)); r.Query.Del(name); return r }
	tests := []struct {
		name string
		req  Request
		mode Mode
		want Message
	}{
		{"underscore first", post(events(`{"name":"_badEventName"}`)), Relaxed, Message{"events",
			"Event at index: [0] has invalid name [_badEventName]. Names must start with an alphabetic character.", NameInvalid, 9}},
		{"at sign", post(events(`{"name":"campaign@details"}`)), Relaxed, Message{"events",
			"Event at index: [0] has invalid name [campaign@details]. Only alphanumeric characters and underscores are allowed.", NameInvalid, 9}},
		{"reserved", post(events(`{"name":"session_start"}`)), Relaxed, Message{"events",
			"Event at index: [0] has name [session_start] which is reserved.", NameReserved, 9}},
		{"no client id", post(`{"events":[{"name":"x"}]}`), Relaxed, Message{"client_id", "Measurement requires a client_id.", ValueRequired, 6}},
		{"no secret", missing("api_secret"), Relaxed, Message{"api_secret",
			"Unable to find non-empty parameter [api_secret] value in request.", ValueRequired, 3}},
		{"no measurement id", missing("measurement_id"), Relaxed, Message{"measurement_id",
			"Unable to find non-empty parameter [measurement_id] value in request.", ValueRequired, 3}},
		{"unknown key", post(events(`{"names":"x"}`)), Relaxed, Message{"",
			"Unable to parse Measurement Protocol JSON payload. (events[0]) names: Cannot find field.", ValueInvalid, 5}},
		{"client id's form", post(`{"client_id":"18","events":[{"name":"x"}]}`), Strict, Message{"client_id",
			"client_id [18] has invalid format. It should be in <number>.<number> format.", ValueInvalid, 7}},
		{"null in an item", post(params("x", `"items":[{"item_id":"1","item_variant":null}]`)), Relaxed, Message{"events[0].params.items[0].item_variant",
			"Item param [item_variant] has unsupported value [null_value: NULL_VALUE]", ValueInvalid, 13}},
		{"too old", post(events(`{"name":"x","timestamp_micros":1}`)), Strict, Message{"events[0].timestamp_micros",
			"Measurement timestamp_micros has timestamp too far in the past. Measurement protocol only supports timestamps [72h] into the past. " +
				"The current time in UNIX microseconds is [1795435200000000].", ValueInvalid, 18}},
		{"price in dollars", post(params("x", `"items":[{"item_id":"1","price":"$19"}]`)), Relaxed, Message{"events[0].params.items[0].price",
			`Validation of item.price should prevent conversion from unsupported value [string_value: "$19"]`, InternalError, 14}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff([]Message{tt.want}, Judge(tt.req, tt.mode).Messages); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestReserved sends each reserved event name.
func TestReserved(t *testing.T) {
	t.Parallel()
	for name := range reservedEvents {
		if got := shorten(Judge(post(events(`{"name":"`+name+`"}`)), Relaxed)); got.Fates != "d" {
			t.Errorf("%s was taken", name)
		}
	}
	if len(reservedEvents) != 34 {
		t.Errorf("%d reserved names, want 34", len(reservedEvents))
	}
}

// TestMode takes the mode from the body unless told otherwise.
func TestMode(t *testing.T) {
	t.Parallel()
	const strict = `{"clientId":"1.2","validationBehavior":"ENFORCE_RECOMMENDATIONS","events":[{"name":"x"}]}`
	for _, tt := range []struct {
		body       string
		mode, want Mode
	}{
		{strict, ByBody, Strict},
		{strict, Relaxed, Relaxed},
		{events(`{"name":"x"}`), ByBody, Relaxed},
		{events(`{"name":"x"}`), Strict, Strict},
		{`{`, ByBody, Relaxed},
	} {
		if got := Judge(post(tt.body), tt.mode).Mode; got != tt.want {
			t.Errorf("mode %d of %s = %d, want %d", tt.mode, tt.body, got, tt.want)
		}
	}
}

// TestFromHTTP is rule 1 and the way from a server's request.
func TestFromHTTP(t *testing.T) {
	t.Parallel()
	body := events(`{"name":"x"}`)
	for _, tt := range []struct {
		method string
		wrong  bool
		want   int
	}{{http.MethodPost, false, 1}, {http.MethodGet, true, 0}, {http.MethodPut, true, 0}} {
		r := httptest.NewRequest(tt.method, "/mp/collect?measurement_id=G-1&api_secret=x", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		req, err := FromHTTP(r, now)
		if err != nil {
			t.Fatal(err)
		}
		v := Judge(req, ByBody)
		if v.WrongMethod != tt.wrong || len(v.Accepted) != tt.want || v.Clean() == tt.wrong {
			t.Errorf("%s: %+v", tt.method, v)
		}
	}
	r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(make([]byte, 2*MaxBody)))
	if req, err := FromHTTP(r, now); err != nil || len(req.Body) != MaxBody+1 {
		t.Errorf("read %d bytes, %v; want %d", len(req.Body), err, MaxBody+1)
	}
}

func FuzzJudge(f *testing.F) {
	f.Add([]byte(params("purchase", `"value":1,"items":[{"item_id":null}]`)))
	f.Add([]byte(`{"client_id":"1.2","user_properties":{"a":{"value":[]}},"events":[{"timestamp_micros":"x"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r := post("")
		r.Body = body
		for _, mode := range []Mode{ByBody, Strict} {
			v := Judge(r, mode)
			if v.Refused != "" && len(v.Accepted) > 0 {
				t.Errorf("refused as %s, yet %d events accepted", v.Refused, len(v.Accepted))
			}
		}
	})
}
