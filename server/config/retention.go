package config

import "cmp"

// maxRetention is the ceiling of every table: after 36 months nothing is left.
var maxRetention = Period{Months: 36}

// parts lists the periods by their keys.
func (r *Retention) parts() map[string]*Period {
	return map[string]*Period{"events": &r.Events, "receipts": &r.Receipts, "forwards": &r.Forwards, "counters": &r.Counters}
}

// validate checks periods that are set or have a default.
func (r *Retention) validate(k *checker, path string) {
	for name, p := range r.parts() {
		at := path + "." + name
		_, named := k.places[at]
		switch {
		case *p == Period{} && (path == "retention" || named):
			k.say(at, "keeps nothing; write at least 1 days")
		case p.longerThan(maxRetention):
			k.say(at, "%s is above the ceiling of 36 months", p)
		}
	}
}

// notice warns of receipts that go before the events that they cover would.
func (r *Retention) notice(k *checker, path string) {
	if r.Events.longerThan(r.Receipts) {
		k.say(path+".receipts", "%s is shorter than %s.events, %s: once a receipt has gone nothing tells whose events it covered, so they go with it; keep receipts for at least as long",
			r.Receipts, path, r.Events)
	}
}

// RetentionOf is how long a site's rows are kept: its own periods, and those of
// all sites for what it does not say.
func (c *Config) RetentionOf(domain string) Retention {
	for i := range c.Sites {
		if s := &c.Sites[i]; s.Domain == domain {
			return Retention{
				Events: cmp.Or(s.Retention.Events, c.Retention.Events), Receipts: cmp.Or(s.Retention.Receipts, c.Retention.Receipts),
				Forwards: cmp.Or(s.Retention.Forwards, c.Retention.Forwards), Counters: cmp.Or(s.Retention.Counters, c.Retention.Counters),
			}
		}
	}
	return c.Retention
}
