package config

import "fmt"

// Notices lists what the file asks for that this version does not do yet, and
// what it may ask for but hardly means: nothing that is configured is passed
// over in silence. Keys of features to come are checked all the same, so that
// the file stays valid when they do.
func (c *Config) Notices() []Problem {
	k := &checker{places: c.places}
	later := func(asked bool, path, feature string) {
		if asked {
			k.say(path, "not available yet: %s; the value is checked and kept, and has no effect in this version", feature)
		}
	}
	later(c.ClickHouse.Cluster != "", "clickhouse.cluster", "replicated and distributed tables")
	later(c.Mail.Host != "", "mail", "reports and invitations by e-mail")
	c.Retention.notice(k, "retention")
	for i := range c.Sites {
		if s := &c.Sites[i]; s.Retention != (Retention{}) {
			r := c.RetentionOf(s.Domain)
			r.notice(k, fmt.Sprintf("sites[%d].retention", i))
		}
	}
	return sorted(k.problems)
}
