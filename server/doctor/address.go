package doctor

import (
	"fmt"
	"strings"
)

// examineAddress decides whether each visitor's own address arrives, or one
// for all of them.
func (e *examination) examineAddress(a *Arrival) {
	own := e.client.address()
	yours := a.Yours != nil && *a.Yours
	switch {
	case yours:
		e.ok("address", "your address arrives, through %s", hops(a))
	case a.Unread > 0 && !a.Believed:
		e.wrong("address", trust(a.Peer), "all visitors seem to come from one address: the proxy in front of Sluice (%s) names the visitor, and is not believed", where(a.Peer))
	case a.Unread > 0:
		e.wrong("address", behind(a), "all visitors seem to come from one address: a proxy further out names the visitor, and is not believed")
	case !a.Believed && len(a.Named) > 0:
		e.wrong("address", behind(a), "all visitors seem to come from one address: a proxy names the visitor in %s, and is not believed", strings.Join(a.Named, ", "))
	case a.Hops == 0 && a.Believed && (a.Address != Public || own.IsLoopback()):
		e.wrong("address", "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;   (nginx, in the location; Caddy and Apache do it by themselves; sluice snippet next --only address)", "all visitors seem to come from one address: the proxy does not say whom it speaks for")
	case public(own), own.IsLoopback():
		e.wrong("address", trust(a.Peer), "an address arrives (%s) that is not yours: all visitors seem to come from a proxy's", where(a.Address))
	case a.Address == Public:
		e.note("address", "", "a public address arrives, through %s; that it is yours cannot be told from behind a router", hops(a))
	default:
		e.note("address", "", "an address arrives that is not yours (%s); ask again from outside your network", where(a.Address))
	}
}

func hops(a *Arrival) string {
	switch a.Hops {
	case 0:
		return "no proxy that says so"
	case 1:
		return "one proxy"
	}
	return fmt.Sprintf("%d proxies", a.Hops)
}

func where(network string) string {
	switch network {
	case Public:
		return "a public address"
	case "":
		return "no address"
	}
	return "in " + network
}

// trust is the line that makes a proxy believed.
func trust(network string) string {
	if network == Public || network == "" {
		network = "ADDRESS-OF-YOUR-PROXY"
	}
	return fmt.Sprintf(`server: {trusted_proxies: [127.0.0.0/8, "::1/128", %s]}   (sluice.yaml)`, network)
}

// behind is the line for a proxy without a fixed address of its own, a CDN's
// mostly.
func behind(a *Arrival) string {
	header := ""
	if len(a.Named) > 0 {
		header = ", client_ip_header: " + a.Named[0]
	}
	return fmt.Sprintf(`server: {trusted_proxies: [127.0.0.0/8, "::1/128", THE-CDN'S-NETWORKS]}   (sluice.yaml; or proxies: [{name: cdn, secret: …%s}], with that secret in the header Sluice-Proxy)`, header)
}
