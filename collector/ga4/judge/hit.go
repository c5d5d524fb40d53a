package judge

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// HitPath is where gtag.js sends its hits.
const HitPath = "/g/collect"

// hitParams are the parameters that Sluice relays; one that ends with a dot
// stands for all names behind it. pr1 to pr200 are items.
var (
	hitParams = []string{
		"v", "tid", "gtm", "_p", "_s", "cid", "sid", "sct", "seg", "_ss", "_fv", "_nsi", "_ee", "_c", "_et", "en",
		"dl", "dr", "dt", "ul", "sr", "ir", "tt", "cu", "gcs", "gcd", "npa", "ep.", "epn.", "up.", "upn.",
	}
	hitItem = regexp.MustCompile(`^pr([1-9]\d?|1\d\d|200)$`)
	// gcs is of a hit under a grant of analytics_storage, gcd of signals that a
	// default of no left alone (p) or an update granted (r).
	hitGCS = regexp.MustCompile(`^G1([01])1$`)
	hitGCD = regexp.MustCompile(`^13([pr])3r3[pr]2([pr])5l1$`)
	// adClick matches keys of a page's address by which a click on an ad is known.
	adClick = regexp.MustCompile(`(^|[?&])(gclid|dclid|gbraid|wbraid)=`)
)

// Lines are the parameters of each hit of a request in gtag's format: what the
// hits share is in the query, each line of the body is one, and goes before.
// Without a body the query is the hit.
func Lines(query url.Values, body []byte) ([]url.Values, error) {
	if len(body) == 0 {
		return []url.Values{query}, nil
	}
	var out []url.Values
	for line := range strings.SplitSeq(strings.Trim(string(body), "\r\n"), "\n") {
		own, err := url.ParseQuery(strings.TrimSuffix(line, "\r"))
		if err != nil {
			return nil, fmt.Errorf("line %d is not parameters", len(out)+1)
		}
		merged := url.Values{}
		for _, values := range []url.Values{query, own} {
			for key, v := range values {
				merged[key] = v
			}
		}
		out = append(out, merged)
	}
	return out, nil
}

// Hits says what would become of a request in gtag's own format, and whether
// Sluice may send it (rule 24).
func Hits(req Request) Verdict {
	j := &judging{req: req, v: &Verdict{Mode: Relaxed, Violations: foreignHeaders(req)}}
	if req.Method != http.MethodPost && req.Method != http.MethodGet {
		j.v.WrongMethod = true
		return *j.v
	}
	hits, err := Lines(req.Query, req.Body)
	switch {
	case len(req.Body) >= MaxBody:
		j.refuse(4, ValueOutOfBounds, "", fmt.Sprintf("Request body has %d bytes or more; fewer than %d are allowed.", len(req.Body), MaxBody))
	case err != nil:
		j.refuse(24, ValueInvalid, "", err.Error()+".")
	case len(hits) > MaxEvents:
		j.refuse(8, ExceededMaxEntities, "", fmt.Sprintf("Request has %d events; %d are allowed.", len(hits), MaxEvents))
	}
	for i, hit := range hits {
		j.hit(i, hit)
	}
	slices.Sort(j.v.Violations)
	j.v.Violations = slices.Compact(j.v.Violations)
	return *j.v
}

// hit judges one hit. What is wrong with what all share drops the request.
func (j *judging) hit(i int, q url.Values) {
	for name, values := range q {
		j.hitParam(name, values)
	}
	gcs, gcd := hitGCS.FindStringSubmatch(q.Get("gcs")), hitGCD.FindStringSubmatch(q.Get("gcd"))
	switch {
	case q.Get("v") != "2" || q.Get("tid") == "":
		j.refuse(24, ValueRequired, "", "A hit says v=2 and its property (tid).")
	case !clientID.MatchString(q.Get("cid")):
		j.refuse(24, ValueInvalid, "cid", fmt.Sprintf("cid [%s] has invalid format. It should be in <number>.<number> format.", q.Get("cid")))
	case gcs == nil || gcd == nil || (gcs[1] == "1") != (gcd[1] == "r") || (q.Get("npa") == "0") != (gcd[2] == "r"):
		j.refuse(24, ValueInvalid, "gcd", "gcs, gcd and npa do not say one consent that grants analytics_storage.")
	}
	e := &Event{Index: i, Name: q.Get("en"), Reason: j.v.Refused}
	if e.Reason == "" && e.Name != "user_engagement" { // which is gtag's own
		j.name(e)
	}
	if e.Reason != "" {
		j.v.Dropped = append(j.v.Dropped, *e)
		return
	}
	j.v.Accepted = append(j.v.Accepted, *e)
}

// hitParam is rule 22 for hits: nothing but what is known to say nobody's
// address, name or click.
func (j *judging) hitParam(name string, values []string) {
	add := func(format string, args ...any) {
		j.v.Violations = append(j.v.Violations, fmt.Sprintf(format, args...))
	}
	kind, _, _ := strings.Cut(name, ".")
	switch {
	case hitItem.MatchString(name), slices.Contains(hitParams, name):
	case strings.Contains(name, ".") && slices.Contains(hitParams, kind+"."):
		if n := length(values[0]); n > MaxValue {
			j.flag(12, ValueOutOfBounds, name, fmt.Sprintf("Value of [%s] has %d characters; %d are allowed.", name, n, MaxValue))
		}
	default:
		add("parameter %s", name)
	}
	for _, v := range values {
		for _, p := range personalDecoded(v, j.req.OwnHosts) {
			add("%s in parameter %s", p.Kind, name)
		}
		if k := secretQuery(v); k != "" {
			add("query parameter %s in parameter %s", k, name)
		}
		if adClick.MatchString(v) {
			add("click id in parameter %s", name)
		}
	}
}
