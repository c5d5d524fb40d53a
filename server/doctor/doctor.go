// Package doctor tells what is wrong with an installation, from outside: it
// asks the site as a visitor would, and says which line mends what it finds.
//
// # Why a door of its own
//
// Whether visitors' addresses, cookies and signals survive the way through a
// site's proxies can only be seen at its end. The door answers about the
// request that asks, and about nothing else: in ranges, not addresses. That an
// address arrives is proved by the doctor naming its own, which it knows, and
// the server saying whether that is the one that it sees.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"sluice/consent"
	"sluice/server/snippet"
)

// The door of the doctor, below a site's base path.
const (
	Door          = "/arrival"
	AddressHeader = "Sluice-Address" // the doctor's own address; asked without it, the door is shut
	Cookie        = "sl_probe"       // there and back; no browser is given it
	Public        = "public"         // a range of addresses
)

// Arrival is what the door says of a request.
type Arrival struct {
	ID       string   `json:"id"` // another one each time, unless a cache answers
	Method   string   `json:"method"`
	Bytes    int64    `json:"bytes"` // of its body
	Path     string   `json:"path"`
	Host     string   `json:"host"`
	Site     string   `json:"site,omitempty"` // that the host belongs to
	GPC      bool     `json:"gpc"`
	Cookie   bool     `json:"cookie"`
	Peer     string   `json:"peer"`               // range of the nearest proxy
	Believed bool     `json:"believed"`           // it may speak for others
	Hops     int      `json:"hops"`               // entries of X-Forwarded-For
	Unread   int      `json:"unread"`             // of these: behind somebody who is not believed
	Named    []string `json:"named,omitempty"`    // other headers that name a client
	Address  string   `json:"address"`            // range of what counts as the visitor's
	Yours    *bool    `json:"is_yours,omitempty"` // whether that is the one in AddressHeader
}

// State says how a check ended.
type State string

// The states of a finding.
const (
	OK    State = "ok"
	Wrong State = "wrong"
	Note  State = "note" // not wrong, and worth knowing; or not to be told from here
)

// Finding is the outcome of one check.
type Finding struct {
	Check string `json:"check"`
	State State  `json:"state"`
	Says  string `json:"says"`
	Mend  string `json:"mend,omitempty"` // the line to write
}

// Report is what the doctor found.
type Report struct {
	URL      string    `json:"url"`
	OK       bool      `json:"ok"`
	Findings []Finding `json:"findings"`
}

// Options say what is examined.
type Options struct {
	URL string // of a page
	// Installation is the site as the configuration has it; the zero value: the
	// page's own tag says what it is.
	Installation snippet.Installation
	Services     []consent.Service // whose tags have to wait for a yes
}

// patience bounds a whole examination, and politeness one request of it.
const (
	patience   = time.Minute
	politeness = 10 * time.Second
)

// Examine asks the page and the doors behind it. It asks no other host than
// the page's and, where the script comes from another of the same site, that
// one. Error: a URL that is none.
func Examine(ctx context.Context, o Options) (*Report, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	u, err := ParsePage(o.URL)
	if err != nil {
		return nil, err
	}
	e := &examination{Options: o, report: &Report{URL: o.URL}, page: u, client: newClient()}
	defer e.client.close()
	e.examinePage(ctx)
	if e.base != nil && e.examineScript(ctx) {
		e.examineDoors(ctx)
	}
	e.report.OK = true
	for _, f := range e.report.Findings {
		e.report.OK = e.report.OK && f.State != Wrong
	}
	return e.report, nil
}

// ParsePage reads the address of a page. Its error says what is missing.
func ParsePage(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https"):
		return u, nil
	case raw != "" && !strings.Contains(raw, "://"):
		return nil, fmt.Errorf("%q has no scheme; write https://%s", raw, strings.TrimLeft(raw, "/"))
	}
	return nil, fmt.Errorf("%q is not the address of a page, such as https://example.com/", raw)
}

// examination is one in progress.
type examination struct {
	Options
	report *Report
	client *client
	page   *url.URL // as asked for, then as answered
	base   *url.URL // of the doors, with a slash at its end; nil: unknown
	site   string   // data-site
}

func (e *examination) ok(check, format string, args ...any) {
	e.report.Findings = append(e.report.Findings, Finding{check, OK, fmt.Sprintf(format, args...), ""})
}

func (e *examination) wrong(check, mend, format string, args ...any) {
	e.report.Findings = append(e.report.Findings, Finding{check, Wrong, fmt.Sprintf(format, args...), mend})
}

func (e *examination) note(check, mend, format string, args ...any) {
	e.report.Findings = append(e.report.Findings, Finding{check, Note, fmt.Sprintf(format, args...), mend})
}

// installation is the configured one, or what can be guessed from outside.
func (e *examination) installation() snippet.Installation {
	in := e.Installation
	if in.Domain == "" {
		in.Domain = e.page.Hostname()
		if e.site != "" {
			in.Domain = e.site
		}
		in.Host, in.Base = in.Domain, "/_s"
		if e.base != nil {
			in = in.At(e.base.String())
			in.Base = strings.TrimSuffix(e.base.Path, "/")
			if e.base.Host == e.page.Host {
				in.Host = e.base.Hostname() // of one origin: a path says enough
			}
		}
	}
	if in.Upstream == "" {
		in.Upstream = "http://127.0.0.1:8080"
	}
	return in
}

// stanza names the command that prints the proxy's configuration.
func (e *examination) stanza() string {
	return "sluice snippet nginx --site " + e.installation().Domain + "   (or caddy, apache, next, wordpress)"
}

// reason says why a request failed, without the address that Go's errors name
// twice.
func reason(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Sprintf("no answer within %s", politeness)
	}
	return err.Error()
}

// public says that an address is neither this machine's nor a private one.
func public(a netip.Addr) bool {
	return a.IsValid() && a.IsGlobalUnicast() && !a.IsPrivate()
}
