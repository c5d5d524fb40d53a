package dashboards

import (
	"cmp"
	"context"
	"slices"

	"sluice/consent"
	"sluice/dashboards/query"
)

// SmallCell is the least count that is shown on its own. Fewer are shown
// together: a count of one, beside a date, can be somebody.
const SmallCell = 10

// Consents is the panel about what visitors decided.
type Consents struct {
	Views, Decisions, Signals string // banners shown, decisions made, visits under GPC without a choice
	Rate                      string // decisions ÷ views
	ByKind                    []Line
	Purposes                  []Line
	Refused                   []Line // events, by reason
	Accepted                  string // events
	Channels                  []Line // who may be written to: agreed, withdrawn, STOPs
	Variants                  Variants
	Outside                   string // decisions on pages with a tag outside the gate; "" for none
	Failed                    bool
}

var methodNames = map[consent.Method]string{
	consent.AcceptAll: "Accepted all", consent.RejectAll: "Rejected all", consent.Custom: "Chose purposes", consent.Withdraw: "Withdrew",
	consent.MethodGPC: "Confirmed Global Privacy Control", consent.Form: "Saved the form on the choices page",
	consent.Once: "Allowed one service in place", consent.API: "Told by the site's backend",
}

var reasonNames = map[string]string{
	string(consent.NoConsent): "No consent", string(consent.Expired): "Consent expired", string(consent.Withdrawn): "Consent withdrawn",
	string(consent.StaleNotice): "Notice has changed since", string(consent.BadToken): "Token unreadable or forged",
	string(consent.WrongSite): "Token or address of another site", string(consent.ByGPC): "Global Privacy Control",
	"bot": "Bot", "bot/crawler": "Bot: crawler", "bot/headless": "Bot: automated",
	"bot/headers": "Bot: odd headers", "bot/data_centre": "Bot: data centre", "bot/spam_address": "Bot: referrer spam",
	"excluded": "Excluded by the site's rules", "excluded/address": "Excluded: address", "excluded/path": "Excluded: page",
	"excluded/country": "Excluded: country", "excluded/hostname": "Excluded: host", "unavailable": "Told to come back: the spool was full",
	"duplicate": "Sent twice", "invalid": "Malformed",
}

func reasonName(key string) string { return cmp.Or(reasonNames[key], sentence(key)) }

// askConsents reads the counters. They know no visitor, page or source: the
// view's filters do not reach them.
func askConsents(ctx context.Context, db query.Querier, v View, purposes []consent.Purpose) (Consents, error) {
	counts, err := query.CountsIn(ctx, db, v.Site.Domain, v.span)
	if err != nil {
		return Consents{Failed: true}, err
	}
	decisions := counts.Total(consent.CountDecision)
	out := Consents{
		Views:     atLeast(counts.Total(consent.CountView)),
		Decisions: atLeast(decisions),
		Signals:   atLeast(counts.Total(consent.CountGPC)),
		Accepted:  atLeast(counts.Total(consent.CountEvent)),
		ByKind: cells(counts[consent.CountDecision], func(key string) string {
			return cmp.Or(methodNames[consent.Method(key)], sentence(key))
		}),
		Refused:  cells(counts[consent.CountRefusal], reasonName),
		Channels: channels(counts[consent.CountChannel]),
	}
	if n := counts.Total(consent.CountOutside); n > 0 {
		out.Outside = atLeast(n)
		if small(n) {
			out.Outside = "fewer than 10"
		}
	}
	if rate, ok := counts.DecisionRate(); ok && !small(decisions) && !small(counts.Total(consent.CountView)) {
		out.Rate = share(rate)
	}
	for _, p := range purposes {
		out.Purposes = append(out.Purposes, optIn(v.Site, counts, p))
	}
	if len(v.Site.Variants) > 0 {
		if out.Variants, err = askVariants(ctx, db, v, counts, purposes); err != nil {
			return Consents{Failed: true}, err
		}
	}
	return out, nil
}

// cells lists counts, most first, the small ones as one; what even that one
// counts is told from SmallCell on.
func cells(counts map[string]uint64, name func(string) string) []Line {
	var all, most, rest uint64
	var keys []string
	for key, n := range counts {
		all += n
		if n < SmallCell {
			rest += n
			continue
		}
		keys = append(keys, key)
		most = max(most, n)
	}
	most = max(most, rest)
	slices.SortFunc(keys, func(a, b string) int { return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b)) })
	line := func(label string, n uint64) Line {
		return Line{
			Label: label, Width: 100 * float64(n) / float64(most),
			Values: []string{thousands(float64(n)), share(float64(n) / float64(all))},
		}
	}
	var out []Line
	for _, key := range keys {
		out = append(out, line(visible(name(key)), counts[key]))
	}
	if rest > 0 {
		l := line("Fewer than 10 each", rest)
		if small(rest) {
			l.Values, l.Width = []string{atLeast(rest), "–"}, 0
		}
		out = append(out, l)
	}
	return out
}

// channelNames are the channels of which there are figures, in this order.
var channelNames = []struct {
	channel consent.Channel
	name    string
}{{consent.WhatsApp, "WhatsApp"}, {consent.SMS, "SMS"}, {consent.Email, "E-mail"}}

// channels lists what people said about being written to.
func channels(counts map[string]uint64) (out []Line) {
	for _, c := range channelNames {
		l, heard := Line{Label: c.name}, uint64(0)
		for _, what := range []string{consent.ChannelGranted, consent.ChannelWithdrawn, consent.ChannelStop} {
			n := counts[string(c.channel)+" "+what]
			l.Values, heard = append(l.Values, atLeast(n)), heard+n
		}
		if heard > 0 {
			out = append(out, l)
		}
	}
	return out
}

// optIn is a purpose's line: how often it was granted, and the share of
// decisions that granted it.
func optIn(site *consent.Site, counts query.Counts, p consent.Purpose) Line {
	l := Line{Label: purposeName(site, p)}
	granted := counts[consent.CountGrant][string(p)]
	rate, ok := counts.OptInRate(p)
	switch {
	case !ok || counts.Total(consent.CountDecision) < SmallCell:
		l.Values = []string{"–", "too few"}
	case granted < SmallCell:
		l.Values = []string{"<10", "under " + share(float64(SmallCell)/float64(counts.Total(consent.CountDecision)))}
	default:
		l.Values = []string{thousands(float64(granted)), share(rate)}
		l.Width = min(100*rate, 100)
	}
	return l
}

// purposeName is what a purpose is called: as the site does, or by its name.
func purposeName(site *consent.Site, p consent.Purpose) string {
	for _, own := range site.Purposes {
		if own.Name == p && own.Title != "" {
			return visible(own.Title)
		}
	}
	return sentence(string(p))
}
