package doctor

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/andybalholm/brotli"
)

// mark is in every version of the script: the cookie that it reads.
const mark = "sl_choice"

// door is the address of a door.
func (e *examination) door(name string) *url.URL { return e.base.JoinPath(name) }

// examineScript asks for the script as browsers do: is it there, is it kept
// too long, is it packed once. False where it is not there: then nothing else is.
func (e *examination) examineScript(ctx context.Context) bool {
	at := e.door("s.js")
	a, err := e.client.ask(ctx, http.MethodGet, at, "", "Accept-Encoding", "br, gzip")
	if err != nil {
		e.wrong("prefix", "", "%s cannot be had: %s", at, reason(err))
		return false
	}
	if to := a.redirect(); to != nil {
		e.wrong("prefix", "exempt "+e.base.Path+" from redirects (of locales, trailing slashes, logins) in the web server or middleware", "%s is redirected to %s", at, to)
		return false
	}
	packing := a.Header.Values("Content-Encoding")
	script, times := unpack(a.body, strings.Split(strings.Join(packing, ","), ","))
	if a.StatusCode != http.StatusOK || !bytes.Contains(script, []byte(mark)) {
		what := "something else: is another part of the site answering?"
		if a.isHTML() {
			what = "a page of the site's, so " + e.base.Path + "/ is not handed on to Sluice"
		}
		e.wrong("prefix", e.stanza(), "%s is answered with %s and %s", at, a.Status, what)
		return false
	}
	e.ok("prefix", "%s is Sluice's", at)
	switch {
	case len(packing) == 0:
		e.note("compression", "proxy_set_header Accept-Encoding $http_accept_encoding;   (nginx)", "the script arrives uncompressed: something on the way takes Accept-Encoding off")
	case times > 1:
		e.wrong("compression", "switch compression off for "+e.base.Path+"/ in the proxy: what comes from Sluice is compressed", "the script is compressed %d times", times)
	default:
		e.ok("compression", "the script is compressed once (%s)", packing[0])
	}
	e.examineFreshness(a)
	return true
}

// examineFreshness: a browser has to ask for the script on every page.
func (e *examination) examineFreshness(a *answer) {
	policy := strings.ToLower(strings.Join(a.Header.Values("Cache-Control"), ", "))
	expires := a.Header.Get("Expires")
	if strings.Contains(policy, "no-cache") && !strings.Contains(policy, "max-age") && !strings.Contains(policy, "immutable") && expires == "" {
		e.ok("script-cache", "browsers ask for a new script each time")
		return
	}
	e.wrong("script-cache", "expires off;   (nginx, in the location of "+e.base.Path+"/; Apache: ExpiresActive Off)",
		"the proxy rewrites how long the script may be kept: Cache-Control %q, Expires %q; browsers would run an old one after an update", policy, expires)
}

// unpack undoes what Content-Encoding says, and gzip that it does not say.
func unpack(body []byte, encodings []string) (plain []byte, times int) {
	for i := len(encodings) - 1; i >= 0; i-- {
		var r io.Reader
		switch strings.TrimSpace(strings.ToLower(encodings[i])) {
		case "gzip", "x-gzip":
			z, err := gzip.NewReader(bytes.NewReader(body))
			if err != nil {
				return body, times
			}
			r = z
		case "br":
			r = brotli.NewReader(bytes.NewReader(body))
		default:
			continue
		}
		got, err := io.ReadAll(io.LimitReader(r, maxBody))
		if err != nil {
			return body, times
		}
		body, times = got, times+1
	}
	for bytes.HasPrefix(body, []byte{0x1f, 0x8b}) && times < 4 {
		more, n := unpack(body, []string{"gzip"})
		if n == 0 {
			break
		}
		body, times = more, times+n
	}
	return body, times
}

// arrive asks the doctor's door; nil where it does not answer as it should.
func (e *examination) arrive(ctx context.Context, method, body string, header ...string) (*Arrival, *answer, error) {
	header = append(header, AddressHeader, e.client.address().String(), "Sec-GPC", "1", "Cookie", Cookie+"=1")
	a, err := e.client.ask(ctx, method, e.door(strings.TrimPrefix(Door, "/")), body, header...)
	if err != nil {
		return nil, nil, err
	}
	said := &Arrival{}
	if a.StatusCode != http.StatusOK || !json.Valid(a.body) {
		return nil, a, nil
	}
	if err := json.Unmarshal(a.body, said); err != nil {
		return nil, a, fmt.Errorf("read what the doctor's door says: %w", err)
	}
	return said, a, nil
}

// examineDoors asks the doctor's door twice with GET and once with POST.
func (e *examination) examineDoors(ctx context.Context) {
	first, answer, err := e.arrive(ctx, http.MethodGet, "")
	switch {
	case err != nil:
		e.wrong("doors", "", "the doctor's door cannot be had: %s", reason(err))
		return
	case first == nil:
		e.wrong("doors", e.stanza(), "%s answers %s where the doctor's door should be: the whole of %s/ has to be handed on, to a Sluice of this version",
			answer.Request.URL, answer.Status, strings.TrimSuffix(e.base.Path, "/"))
		return
	}
	e.examineHost(first)
	e.examineAddress(first)
	e.examineCookies(first, answer)
	if first.GPC {
		e.ok("signal", "Sec-GPC arrives")
	} else {
		e.wrong("signal", "let the header Sec-GPC pass: no proxy may take it off", "Global Privacy Control does not arrive: Sec-GPC is taken off on the way")
	}
	second, answer, err := e.arrive(ctx, http.MethodGet, "")
	if err == nil {
		e.examineCache(first, second, answer)
	}
	e.examinePost(ctx)
}

func (e *examination) examineHost(a *Arrival) {
	asked := strings.ToLower(e.base.Hostname())
	got, _, _ := strings.Cut(strings.ToLower(a.Host), ":")
	switch {
	case a.Site != "" && a.Site == e.site, e.site == "" && a.Site != "":
		e.ok("host", "Sluice sees the host %s, of the site %s", a.Host, a.Site)
	case got != asked:
		e.wrong("host", "proxy_set_header Host $host;   (nginx; Apache: ProxyPreserveHost On)", "Sluice sees the host %s instead of %s: the proxy replaces it", a.Host, asked)
	case a.Site == "":
		e.wrong("host", fmt.Sprintf("sites: [{domain: %s}]   (sluice.yaml; or under test_hosts of the site)", asked), "Sluice knows no site for the host %s", a.Host)
	default:
		e.wrong("host", e.installation().Tag(), "the page names the site %s, the host %s belongs to %s", e.site, a.Host, a.Site)
	}
}

func (e *examination) examineCookies(a *Arrival, got *answer) {
	arrived := false
	for _, c := range got.Cookies() {
		arrived = arrived || c.Name == Cookie
	}
	switch {
	case !arrived:
		e.wrong("cookies", "proxy_pass_header Set-Cookie;   (nginx, in the location of "+e.base.Path+"/; a CDN: no rule that strips cookies there)", "the server's cookies do not arrive: Set-Cookie is taken off on the way, so the choice is kept by the script alone, for 7 days in Safari")
	case !a.Cookie:
		e.wrong("cookies", "let the header Cookie pass for "+e.base.Path+"/", "the visitor's cookies do not reach Sluice: Cookie is taken off on the way, so no event is under a consent")
	default:
		e.ok("cookies", "cookies pass in both directions")
	}
}

func (e *examination) examineCache(first, second *Arrival, got *answer) {
	const mend = "proxy_cache off;   (nginx, in the location; a CDN: bypass the cache for this path)"
	policy := got.Header.Get("Cache-Control")
	switch {
	case second == nil:
		e.wrong("caching", mend, "the second answer of the doctor's door is another than the first: %s", got.Status)
	case first.ID == second.ID:
		e.wrong("caching", mend, "a cache on the way answers for Sluice: one visitor would get another's answer")
	case got.Header.Get("Age") != "":
		e.wrong("caching", mend, "an answer that must not be kept comes with Age: %s", got.Header.Get("Age"))
	case !strings.Contains(policy, "no-store"):
		e.wrong("caching", "expires off;   (nginx, in the location; Apache: ExpiresActive Off)", "no-store is taken off on the way: Cache-Control is %q", policy)
	default:
		e.ok("caching", "no cache keeps the doors' answers")
	}
}

func (e *examination) examinePost(ctx context.Context) {
	const body = `{"doctor":true}`
	said, a, err := e.arrive(ctx, http.MethodPost, body, "Content-Type", "text/plain;charset=UTF-8")
	if err != nil {
		e.wrong("post", "", "a POST is not answered: %s", reason(err))
		return
	}
	if to := a.redirect(); to != nil {
		mend := "exempt " + e.base.Path + "/ from redirects of locales and logins in the web server or middleware"
		if strings.HasSuffix(to.Path, "/") {
			mend = "exempt " + e.base.Path + "/ from redirects to a trailing slash (Next.js: skipTrailingSlashRedirect: true)"
		}
		e.wrong("post", mend, "a POST is redirected to %s, so choices and events are lost", to)
		return
	}
	switch {
	case said == nil:
		e.wrong("post", "allow POST for "+e.base.Path+"/ in the web server, firewall or CDN", "a POST is answered with %s", a.Status)
	case said.Method != http.MethodPost || said.Bytes != int64(len(body)):
		e.wrong("post", "hand method and body on as they are", "a POST of %d bytes arrives as %s of %d", len(body), said.Method, said.Bytes)
	default:
		e.ok("post", "a POST arrives whole")
	}
}
