package config

import "fmt"

// Notices lists what the file asks for that this version does not do yet:
// nothing that is configured is passed over in silence. The keys are checked
// all the same, so that the file stays valid when the feature comes.
func (c *Config) Notices() []Problem {
	k := &checker{places: c.places}
	later := func(asked bool, path, feature string) {
		if asked {
			k.say(path, "not available yet: %s; the value is checked and kept, and has no effect in this version", feature)
		}
	}
	later(len(c.Server.TLS.Domains) > 0, "server.tls.domains", "certificates from ACME (let a proxy end TLS)")
	later(c.ClickHouse.Cluster != "", "clickhouse.cluster", "replicated and distributed tables")
	later(c.Keys.Phone != "", "keys.phone", "messaging consent")
	limits := Default().Limits
	later(c.Limits != limits && k.names("limits"), "limits", "rate limits (let a proxy limit requests)")
	later(c.Hooks.Twilio.AuthToken != "", "hooks.twilio", "inbound STOP messages")
	later(c.Hooks.Meta != Meta{}, "hooks.meta", "inbound STOP messages")
	later(c.Hooks.GreenAPI.Token != "", "hooks.green-api", "inbound STOP messages")
	later(c.Mail.Host != "", "mail", "reports and invitations by e-mail")
	for i := range c.Sites {
		path := fmt.Sprintf("sites[%d]", i)
		s := &c.Sites[i]
		later(len(s.Banner.Variants) > 0, path+".banner.variants", "several banners side by side")
		later(len(s.Goals) > 0, path+".goals", "goals in reports")
		later(len(s.Funnels) > 0, path+".funnels", "funnels in reports")
		later(s.Accept.Plausible, path+".accept.plausible", "the door for Plausible's events API")
		later(s.Accept.Gtag, path+".accept.gtag", "the door for gtag.js")
	}
	return sorted(k.problems)
}
