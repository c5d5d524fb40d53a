package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"

	"github.com/labstack/echo/v4"

	"sluice/server/doctor"
)

// errForDoctor answers pages at the door of `sluice doctor`.
var errForDoctor = errors.New("this door is for sluice doctor")

// clientHeaders are those by which known proxies name the client instead of by
// X-Forwarded-For.
var clientHeaders = []string{"Cf-Connecting-Ip", "True-Client-Ip", "Fastly-Client-Ip", "X-Real-Ip", "X-Azure-Clientip", "X-Nf-Client-Connection-Ip"}

// ranges are the networks of machines among themselves (RFC 6890); any other
// address counts as public.
var ranges = prefixes("127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "fc00::/7", "fe80::/10")

func prefixes(list ...string) (out []netip.Prefix) {
	for _, p := range list {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

// rangeOf names the network that an address is in, never the address.
func rangeOf(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	for _, p := range ranges {
		if p.Contains(a) {
			return p.String()
		}
	}
	return doctor.Public
}

type arrivalKey struct{}

// noteArrival keeps what is told at the door of `sluice doctor` before origins
// takes the headers away; for any other request it costs one comparison.
func (o *origins) noteArrival(r *http.Request) *http.Request {
	if !strings.HasSuffix(r.URL.Path, doctor.Door) {
		return r
	}
	peer := parseAddr(r.RemoteAddr)
	client, believed := o.client(r)
	hops := 0
	for _, line := range r.Header["X-Forwarded-For"] {
		hops += strings.Count(line, ",") + 1
	}
	unread := hops
	if p := o.proxyOf(r); believed && (p == nil || p.header == "X-Forwarded-For") {
		unread = o.unread(r.Header["X-Forwarded-For"])
	} else if p != nil {
		unread = 0 // the address stands in a header of its own
	}
	a := doctor.Arrival{
		Peer: rangeOf(peer), Believed: believed, Hops: hops, Unread: unread, Address: rangeOf(client),
	}
	for _, name := range clientHeaders {
		if r.Header.Get(name) != "" {
			a.Named = append(a.Named, name)
		}
	}
	if said := parseAddr(r.Header.Get(doctor.AddressHeader)); said.IsValid() {
		yours := said == client
		a.Yours = &yours
	}
	return r.WithContext(context.WithValue(r.Context(), arrivalKey{}, a))
}

// unread counts the hops that walk does not come to: whoever wrote those is
// not believed.
func (o *origins) unread(lines []string) int {
	hops := strings.Split(strings.Join(lines, ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		if a := parseAddr(strings.TrimSpace(hops[i])); !a.IsValid() || !o.trusts(a) {
			return i
		}
	}
	return 0
}

// arrival tells `sluice doctor` how its own request arrived: ranges of
// addresses, never an address, and nothing of any other request. Pages are
// refused, so that no script learns here what its visitor's address looks like
// from outside; a browser is never given the cookie. Error: errForDoctor.
func (m *machine) arrival(c echo.Context) error {
	r := c.Request()
	if r.Header.Get("Sec-Fetch-Site") != "" || r.Header.Get("Origin") != "" || r.Header.Get(doctor.AddressHeader) == "" {
		return errForDoctor
	}
	a, _ := r.Context().Value(arrivalKey{}).(doctor.Arrival)
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		return fmt.Errorf("read the doctor's body: %w", err)
	}
	a.ID, a.Method, a.Bytes, a.Path, a.Host = rand.Text(), r.Method, n, r.URL.Path, r.Host
	a.GPC = r.Header.Get("Sec-Gpc") == "1"
	_, missing := r.Cookie(doctor.Cookie)
	a.Cookie = missing == nil
	if p, err := m.ledger.Sites.ForHost(r.Host); err == nil {
		a.Site = p.Site.Domain
	}
	c.SetCookie(&http.Cookie{Name: doctor.Cookie, Value: "1", Path: "/", MaxAge: 60, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	return c.JSON(http.StatusOK, a)
}
