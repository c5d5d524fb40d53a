package dashboards

import (
	"context"
	"time"

	"sluice/consent"
	"sluice/dashboards/query"
)

// Shows says how much of one of its reports Google Analytics has.
type Shows string

// The three answers.
const (
	Same    Shows = "same"
	Partial Shows = "partial"
	Absent  Shows = "absent"
)

// Answer is what one way to Google Analytics gives a report, and why.
type Answer struct {
	Shows Shows
	Why   string
}

// GoogleReport is one report of Google Analytics under each of three ways:
// Sluice's forwarder, gtag.js through Sluice's door, and a tag of the site's own
// that runs under consent and sends to Google itself.
type GoogleReport struct {
	Name                    string
	Forwarder, Door, OwnTag Answer
}

// googleReports is the table of docs/google-analytics.md; a test holds the two
// together. All three ways lack those who did not agree.
var googleReports = []GoogleReport{
	{"Traffic acquisition",
		Answer{Partial, "the source comes by campaign_details, from campaign labels and the referrer; Google's own attribution of ads is missing"},
		Answer{Partial, "as the forwarder; gtag's session id keeps one session one"},
		Answer{Same, "gtag reads address and referrer itself"}},
	{"Sessions and engagement",
		Answer{Same, "session_id and engagement_time_msec go with every event; a visit is 30 minutes as in Google's default"},
		Answer{Same, "gtag's own session and times"},
		Answer{Same, ""}},
	{"New users",
		Answer{Partial, "first_visit is reserved to tags: Google counts a client id as new when it meets it first"},
		Answer{Partial, "the hit's own mark of a first visit has no place in the Measurement Protocol"},
		Answer{Same, ""}},
	{"Realtime",
		Answer{Same, "within seconds of the event, unless it had to wait"},
		Answer{Same, "the same"},
		Answer{Same, ""}},
	{"Pages, events, revenue",
		Answer{Same, "up to Google's limits: what is changed or left out is counted in the forwarding panel; page addresses carry campaign labels alone"},
		Answer{Same, "the same limits"},
		Answer{Same, ""}},
	{"Demographics: country",
		Answer{Same, "told as user_location; the region too where region: true"},
		Answer{Same, "the same"},
		Answer{Same, "Google looks the address up"}},
	{"Demographics: city, age, interests",
		Answer{Absent, "Sluice tells no city, and Google Signals needs Google's own cookies"},
		Answer{Absent, "the same"},
		Answer{Partial, "city by address; the rest with Google Signals, under consent"}},
	{"Technology",
		Answer{Partial, "category, browser and system without versions, no model, no screen"},
		Answer{Partial, "the same"},
		Answer{Same, ""}},
	{"Key events (conversions)",
		Answer{Same, "mark the event in Google Analytics; rules that create or modify events do not run on the Measurement Protocol"},
		Answer{Same, "the same"},
		Answer{Same, ""}},
	{"Import into Google Ads",
		Answer{Absent, "click ids are never kept, so no conversion finds its click"},
		Answer{Absent, "the same"},
		Answer{Partial, "under a grant of ad_storage and ad_user_data"}},
	{"Modelled figures of Consent Mode",
		Answer{Absent, "nothing is sent for those who did not agree, not even a ping without cookies"},
		Answer{Absent, "the same"},
		Answer{Absent, "Sluice loads tags after a yes alone (basic mode)"}},
}

// Gap is how the events of a period part on the way to one destination. The
// parts add up to Received, but for what is under way.
type Gap struct {
	Destination                                                              string
	Received, NotConsented, Refused, NotMeant, Cancelled, Dead, Acknowledged string
	Waiting                                                                  string // "" where the period does not reach to now, or nobody knows
}

// GoogleAnalytics is the page about what Google Analytics will and will not
// show.
type GoogleAnalytics struct {
	View    View
	Dates   string
	Reports []GoogleReport
	Gaps    []Gap
	Failed  bool
}

// unconsented are the refusals that are a visitor's no, or no answer yet.
var unconsented = []consent.Reason{
	consent.NoConsent, consent.Expired, consent.Withdrawn, consent.StaleNotice, consent.BadToken, consent.ByGPC,
}

// askGaps reads where events went. The periods of counters are whole hours, so
// the parts of a period that has not ended may differ from their sum by what is
// under way. What waits now is no part of a period that ended before: how much of
// it happened then nobody knows.
func askGaps(ctx context.Context, db query.Querier, v View, waiting Waiting, now time.Time) ([]Gap, error) {
	counts, err := query.CountsIn(ctx, db, v.Site.Domain, v.span)
	if err != nil {
		return nil, err
	}
	outcomes, err := query.Outcomes(ctx, db, v.Site.Domain, v.span)
	if err != nil {
		return nil, err
	}
	accepted, refused := counts.Total(consent.CountEvent), counts.Total(consent.CountRefusal)
	var no uint64
	for _, reason := range unconsented {
		no += counts[consent.CountRefusal][string(reason)]
	}
	var out []Gap
	by := tallies(outcomes, waiting)
	for _, name := range sortedKeys(by) {
		t := by[name].states
		left := accepted - min(accepted, t["acknowledged"]+t["cancelled"]+t["dead"])
		gap := Gap{
			Destination: visible(name), NotConsented: atLeast(no), Refused: atLeast(refused - no),
			Cancelled: plainCount(t["cancelled"]), Dead: plainCount(t["dead"]), Acknowledged: plainCount(t["acknowledged"]),
		}
		if q, known := waiting[name]; known && !now.Before(v.span.From) && now.Before(v.span.To) {
			q = q.within(left)
			gap.Waiting = q.words()
			left -= q.Events + q.Unread
		}
		gap.NotMeant, gap.Received = atLeast(left), total(accepted+refused, no, refused-no, left)
		out = append(out, gap)
	}
	return out, nil
}
