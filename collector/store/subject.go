package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/uuid"
	"github.com/shopspring/decimal"
)

// Subject is everything the database holds on one consent (GDPR Art. 15).
type Subject struct {
	Receipts []json.RawMessage `json:"receipts"` // canonical JSON, oldest first
	Events   []SubjectEvent    `json:"events"`   // oldest first
	Forwards []SubjectForward  `json:"forwards"`
}

// SubjectEvent is a row of events in full, but for the numbers that Sluice
// keeps for itself.
type SubjectEvent struct {
	EventID        string            `ch:"event_id" json:"event_id"`
	Site           string            `ch:"site" json:"site"`
	Test           bool              `ch:"test" json:"test,omitempty"`
	Time           time.Time         `ch:"ts" json:"ts"`
	Name           string            `ch:"name" json:"name"`
	Visitor        string            `ch:"visitor" json:"visitor"`
	Session        string            `ch:"session" json:"session"`
	Hostname       string            `ch:"hostname" json:"hostname"`
	Path           string            `ch:"path" json:"path"`
	Title          string            `ch:"title" json:"title,omitempty"`
	Referrer       string            `ch:"referrer" json:"referrer,omitempty"`
	Source         string            `ch:"source" json:"source,omitempty"`
	Channel        string            `ch:"channel" json:"channel,omitempty"`
	UTMSource      string            `ch:"utm_source" json:"utm_source,omitempty"`
	UTMMedium      string            `ch:"utm_medium" json:"utm_medium,omitempty"`
	UTMCampaign    string            `ch:"utm_campaign" json:"utm_campaign,omitempty"`
	UTMTerm        string            `ch:"utm_term" json:"utm_term,omitempty"`
	UTMContent     string            `ch:"utm_content" json:"utm_content,omitempty"`
	Country        string            `ch:"country" json:"country,omitempty"`
	Region         string            `ch:"region" json:"region,omitempty"`
	City           string            `ch:"city" json:"city,omitempty"`
	Browser        string            `ch:"browser" json:"browser,omitempty"`
	BrowserVersion string            `ch:"browser_version" json:"browser_version,omitempty"`
	OS             string            `ch:"os" json:"os,omitempty"`
	OSVersion      string            `ch:"os_version" json:"os_version,omitempty"`
	Device         string            `ch:"device" json:"device,omitempty"`
	Language       string            `ch:"language" json:"language,omitempty"`
	Screen         string            `ch:"screen" json:"screen,omitempty"`
	Props          map[string]string `ch:"props" json:"props,omitempty"`
	Revenue        decimal.Decimal   `ch:"revenue" json:"revenue"`
	Currency       string            `ch:"currency" json:"currency,omitempty"`
	Items          string            `ch:"items" json:"items,omitempty"`
	EngagementMS   uint32            `ch:"engagement_ms" json:"engagement_ms,omitempty"`
	IPHash         string            `ch:"ip_hash" json:"ip_hash,omitempty"`
	ReceiptID      uuid.UUID         `ch:"receipt_id" json:"receipt_id"`
	Notice         string            `ch:"notice" json:"notice"`
	KeepUntil      time.Time         `ch:"keep_until" json:"keep_until"`
}

// SubjectForward says that an event went, or did not go, to somebody else.
type SubjectForward struct {
	EventID     string    `ch:"event_id" json:"event_id"`
	Destination string    `ch:"destination" json:"destination"`
	State       string    `ch:"state" json:"state"`
	Reason      string    `ch:"reason" json:"reason,omitempty"`
	Time        time.Time `ch:"ts" json:"ts"`
	Sent        string    `ch:"sent" json:"sent,omitempty"` // what they were told, with the first event of a request
}

// subjectColumns are those of SubjectEvent.
const subjectColumns = `event_id, site, test, ts, name, visitor, session, hostname, path, title, referrer,
		source, channel, utm_source, utm_medium, utm_campaign, utm_term, utm_content, country, region, city,
		browser, browser_version, os, os_version, device, language, screen, props, revenue, currency, items,
		engagement_ms, ip_hash, receipt_id, notice, keep_until`

// Subject reads what is held on a consent. What still lies in the spool is not
// part of it: that arrives within seconds.
func (s *Store) Subject(ctx context.Context, consentID uuid.UUID) (Subject, error) {
	out := Subject{Receipts: []json.RawMessage{}, Events: []SubjectEvent{}, Forwards: []SubjectForward{}} // empty lists in JSON, no null
	if consentID == uuid.Nil {
		return out, nil
	}
	of := clickhouse.Named("consent", consentID)
	const receipts = "(SELECT receipt_id FROM receipts WHERE consent_id = {consent:UUID})"
	var bodies []struct {
		Body string `ch:"body"`
	}
	if err := s.conn.Select(ctx, &bodies, "SELECT body FROM receipts WHERE consent_id = {consent:UUID} ORDER BY ts, n", of); err != nil {
		return Subject{}, fmt.Errorf("read the receipts of a consent: %w", err)
	}
	for _, b := range bodies {
		out.Receipts = append(out.Receipts, json.RawMessage(b.Body))
	}
	err := s.conn.Select(ctx, &out.Events, `SELECT `+subjectColumns+`
		FROM events WHERE receipt_id IN `+receipts+` ORDER BY ts, seq`, of)
	if err != nil {
		return Subject{}, fmt.Errorf("read the events of a consent: %w", err)
	}
	err = s.conn.Select(ctx, &out.Forwards, `SELECT event_id, destination, state, reason, ts, sent
		FROM forwards FINAL WHERE receipt_id IN `+receipts+` ORDER BY ts, seq`, of)
	if err != nil {
		return Subject{}, fmt.Errorf("read the forwards of a consent: %w", err)
	}
	return out, nil
}

// OpenSession is a session that may go on after a restart.
type OpenSession struct {
	Site    string    `ch:"site"`
	Visitor string    `ch:"visitor"`
	ID      string    `ch:"session"`
	Start   time.Time `ch:"start"`
	Last    time.Time `ch:"last"` // its newest event

	// How the visitor came: every event of the session carries the same.
	Source      string `ch:"source"`
	Channel     string `ch:"channel"`
	UTMSource   string `ch:"utm_source"`
	UTMMedium   string `ch:"utm_medium"`
	UTMCampaign string `ch:"utm_campaign"`
	UTMTerm     string `ch:"utm_term"`
	UTMContent  string `ch:"utm_content"`
}

// Sessions returns the sessions with an event since then.
func (s *Store) Sessions(ctx context.Context, since time.Time) ([]OpenSession, error) {
	var out []OpenSession
	err := s.conn.Select(ctx, &out, `SELECT site, visitor, session, min(session_start) AS start, max(ts) AS last,
			any(source) AS source, any(channel) AS channel, any(utm_source) AS utm_source, any(utm_medium) AS utm_medium,
			any(utm_campaign) AS utm_campaign, any(utm_term) AS utm_term, any(utm_content) AS utm_content
		FROM events WHERE ts >= {since:DateTime64(3, 'UTC')} GROUP BY site, visitor, session`, clickhouse.Named("since", since.UTC().Truncate(time.Millisecond)))
	if err != nil {
		return nil, fmt.Errorf("read sessions since %s: %w", since.UTC().Format(time.RFC3339), err)
	}
	return out, nil
}
