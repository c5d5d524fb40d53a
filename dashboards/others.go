package dashboards

import (
	"context"
	"errors"
	"slices"
	"strings"

	"sluice/consent"
	"sluice/dashboards/query"
)

// EventsAlone reports whether events meet the view's filters, but no pageview
// does: a goal that is an event, a name, a property that only some events have.
// A filter about events has to be true of the very event that is counted, so
// figures of pageviews would be 0 there beside visits full of them.
func (v View) EventsAlone() bool { return v.eventsAlone }

// ofSomeEvents reports whether the condition may hold for events and for no
// pageview. Pages and hosts are of pageviews first of all.
func (c Condition) ofSomeEvents() bool {
	switch c.Dimension {
	case "event:name", "event:goal", "event:currency":
		return true
	}
	return strings.HasPrefix(c.Dimension, "event:props:")
}

// askEventsAlone finds out what EventsAlone reports. It asks only where a filter
// leaves that open.
func askEventsAlone(ctx context.Context, db query.Querier, v View) (bool, error) {
	if !slices.ContainsFunc(v.Filters, Condition.ofSomeEvents) {
		return false, nil
	}
	q := v.query()
	q.Metrics = metricsOf("pageviews", "events")
	result, err := query.Run(ctx, db, q)
	if err != nil {
		return false, err
	}
	counts := result.Rows[0].Metrics
	return counts[0] == 0 && counts[1] > 0, nil
}

// eventsAlone is askEventsAlone's answer; where there is none, the panels have
// none either, and say so.
func (h *Handler) eventsAlone(ctx context.Context, v View) bool {
	alone, err := askEventsAlone(ctx, h.db, v)
	var filter *consent.FieldError // refused by every panel as well
	if err != nil && !errors.As(err, &filter) {
		h.log.ErrorContext(ctx, "panel failed", "panel", "filters", "site", v.Site.Domain, "err", err)
	}
	return alone
}

// of is the headline figure as the view shows it: where no pageview is met, what
// is met is counted.
func (h headline) of(v View) headline {
	if h.metric == "pageviews" && v.eventsAlone {
		h.metric, h.title = "events", "Events"
	}
	return h
}

// of is the panel as the view shows it: where no pageview is met, the pages are
// those where what is met happened.
func (p panel) of(v View) panel {
	if p.key != "pages" || len(v.Filters) == 0 {
		return p
	}
	p.empty = "No pageview of this period meets the filters."
	if v.eventsAlone {
		p.metrics, p.only = []string{"visitors", "events"}, [3]string{}
	}
	return p
}
