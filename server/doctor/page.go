package doctor

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/publicsuffix"
)

// element is a start tag of the page.
type element struct {
	name     string
	attrs    map[string]string
	text     string // of a script
	noscript bool   // stands inside <noscript>
}

func (el element) attr(name string) string { return el.attrs[name] }

func (el element) has(name string) bool {
	_, ok := el.attrs[name]
	return ok
}

// optOuts are the attributes by which script-delaying optimisers leave a
// script alone: Rocket Loader, LiteSpeed and its like; WP Rocket's belongs to
// WordPress alone.
var optOuts = []string{"data-cfasync", "data-no-optimize", "data-no-defer"}

const optOutOfWPRocket = "nowprocket"

// byWordPress reports whether WordPress made the page.
func byWordPress(elements []element) bool {
	return slices.ContainsFunc(elements, func(el element) bool {
		return strings.Contains(el.attr("src")+el.attr("href"), "/wp-content/") || strings.Contains(el.attr("src")+el.attr("href"), "/wp-includes/")
	})
}

// examinePage reads the page: its tag, its policy, and what it loads unasked.
// It sets where the doors are.
func (e *examination) examinePage(ctx context.Context) {
	if in := e.Installation; in.Domain != "" {
		e.base = e.page.ResolveReference(&url.URL{Path: in.Base + "/"})
	}
	a, err := e.client.visit(ctx, e.page)
	if err != nil {
		e.wrong("page", "", "%s cannot be had: %s", e.page, reason(err))
		e.base = nil
		return
	}
	if to := a.redirect(); to != nil {
		e.wrong("page", "sluice doctor "+to.String(), "the page is on another host, where nothing was asked")
		e.base = nil
		return
	}
	e.page = a.Request.URL
	if a.StatusCode >= http.StatusBadRequest || !a.isHTML() {
		e.wrong("page", "", "%s is no page: %s, %s", e.page, a.Status, a.Header.Get("Content-Type"))
		return
	}
	elements := parse(a.body)
	tag := e.examineTag(elements)
	e.examinePolicy(a.Header, elements, tag)
	e.examineUnmarked(elements)
}

// parse lists the start tags of a page in their order. It builds no tree, so
// that a broken page is read as far as it goes.
func parse(page []byte) (out []element) {
	z := html.NewTokenizer(bytes.NewReader(page))
	noscript := false
	for {
		switch kind := z.Next(); kind {
		case html.ErrorToken:
			return out
		case html.StartTagToken, html.SelfClosingTagToken:
			t := z.Token()
			noscript = noscript || t.Data == "noscript"
			el := element{name: t.Data, attrs: map[string]string{}, noscript: noscript}
			for _, a := range t.Attr {
				el.attrs[a.Key] = a.Val
			}
			if t.Data == "script" && kind == html.StartTagToken && z.Next() == html.TextToken {
				el.text = string(z.Text())
			}
			out = append(out, el)
		case html.EndTagToken:
			if name, _ := z.TagName(); string(name) == "noscript" {
				noscript = false
			}
		}
	}
}

// examineTag finds Sluice's tag and learns from it where the doors are; nil
// where there is none.
func (e *examination) examineTag(elements []element) *element {
	var tag *element
	for i, el := range elements {
		src := el.attr("src")
		for _, delayed := range []string{"data-src", "data-rocket-src", "data-lazy-src"} {
			if src == "" && el.has("data-site") {
				src = el.attr(delayed)
			}
		}
		path, _, _ := strings.Cut(src, "?")
		if el.name == "script" && strings.HasSuffix(path, "/s.js") && (el.has("data-site") || e.isBase(src)) {
			tag = &elements[i]
			if at, err := e.page.Parse(src); err == nil {
				e.setBase(at)
			}
			break
		}
	}
	if tag == nil {
		e.wrong("tag", e.installation().Tag(), "the page has no script tag of Sluice's")
		return nil
	}
	e.site = tag.attr("data-site")
	mend := e.installation().Tag()
	var missing []string
	wanted := optOuts
	if byWordPress(elements) {
		wanted = append(slices.Clone(optOuts), optOutOfWPRocket)
	}
	for _, name := range wanted {
		if !tag.has(name) {
			missing = append(missing, name)
		}
	}
	switch kind := strings.ToLower(strings.TrimSpace(tag.attr("type"))); {
	case tag.attr("src") == "" || kind != "" && kind != "text/javascript" && kind != "application/javascript":
		e.wrong("tag", mend, "an optimiser holds the script back (type=%q), so the banner comes late or never", tag.attr("type"))
	case e.site == "" && e.Installation.Domain != "" && e.Installation.Domain != e.page.Hostname():
		e.wrong("tag", mend, "the tag has no data-site, and the page's host is not the site's domain")
	case e.site != "" && e.Installation.Domain != "" && e.site != e.Installation.Domain:
		e.wrong("tag", mend, "the tag names the site %s, the configuration %s", e.site, e.Installation.Domain)
	case !tag.has("async") && !tag.has("defer"):
		e.note("tag", mend, "the tag has no async: the page waits for the script")
	case len(missing) > 0:
		e.note("tag", mend, "the tag lacks %s: optimisers such as Rocket Loader may hold the script back", strings.Join(missing, ", "))
	default:
		e.ok("tag", "the tag is there")
	}
	return tag
}

func (e *examination) isBase(src string) bool {
	at, err := e.page.Parse(src)
	return err == nil && e.base != nil && at.Host == e.base.Host && at.Path == e.base.Path+"s.js"
}

// setBase takes the script's folder for that of the doors, where the script is
// on the page's host or on one of the same site; no other host is asked.
func (e *examination) setBase(script *url.URL) {
	if !sameSite(script.Hostname(), e.page.Hostname()) {
		e.base = nil
		e.note("prefix", e.stanza(), "the script comes from %s, another site, which was not asked; there browsers keep no cookies for this one", script.Host)
		return
	}
	e.base = script.ResolveReference(&url.URL{Path: "."})
}

// sameSite reports whether two hosts are one site, as browsers draw the line:
// the same below a public suffix.
func sameSite(a, b string) bool {
	if a == b {
		return true
	}
	siteOfA, errA := publicsuffix.EffectiveTLDPlusOne(a)
	siteOfB, errB := publicsuffix.EffectiveTLDPlusOne(b)
	return errA == nil && errB == nil && siteOfA == siteOfB
}
