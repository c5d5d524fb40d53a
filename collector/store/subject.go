package store

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/uuid"
	"github.com/shopspring/decimal"
)

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

// ReceiptsOf returns the receipts of a consent, canonical JSON, oldest first.
// What still lies in the spool is not among them: that arrives within seconds.
func (s *Store) ReceiptsOf(ctx context.Context, consentID uuid.UUID) ([]json.RawMessage, error) {
	var out []json.RawMessage
	for r, err := range rowsOf[subjectReceipt](ctx, s, receiptsOfConsent, consentID) {
		if err != nil {
			return nil, err
		}
		out = append(out, json.RawMessage(r.Body))
	}
	return out, nil
}

// The rows of a consent, oldest first.
const (
	receiptsOfConsent = "SELECT body FROM receipts WHERE consent_id = {consent:UUID} ORDER BY ts, n"
	ofConsent         = " WHERE receipt_id IN (SELECT receipt_id FROM receipts WHERE consent_id = {consent:UUID}) ORDER BY ts, seq"
)

type subjectReceipt struct {
	Body string `ch:"body"`
}

// MarshalJSON is the body as it stands.
func (r subjectReceipt) MarshalJSON() ([]byte, error) { return []byte(r.Body), nil }

// WriteSubject writes everything that the database holds on a consent (GDPR
// Art. 15) as JSON: receipts, events (see [SubjectEvent]) and forwards (see
// [SubjectForward]), each a list, oldest first. Rows are written as they are
// read, for whoever may send events may have sent many. What still lies in the
// spool is not among them. Before the first byte is written an error means that
// there is nothing to show; behind it, that the rest is missing.
func (s *Store) WriteSubject(ctx context.Context, consentID uuid.UUID, to io.Writer) error {
	if err := s.subjects.Acquire(ctx, 1); err != nil {
		return fmt.Errorf("wait for others who are told what is held on them: %w", err)
	}
	defer s.subjects.Release(1)
	w := &subjectWriter{to: to}
	writeRows[subjectReceipt](ctx, s, w, `{"receipts":`, receiptsOfConsent, consentID)
	writeRows[SubjectEvent](ctx, s, w, `,"events":`, "SELECT "+subjectColumns+" FROM events"+ofConsent, consentID)
	writeRows[SubjectForward](ctx, s, w, `,"forwards":`, "SELECT event_id, destination, state, reason, ts, sent FROM forwards FINAL"+ofConsent, consentID)
	w.print("}")
	return w.err
}

// maxSubjects is how many are written to at once. Each holds a connection for as
// long as a browser takes to read; those that store have to find one.
const maxSubjects = 2

// subjectWriter remembers the first error, after which it does nothing.
type subjectWriter struct {
	to  io.Writer
	err error
}

func (w *subjectWriter) print(text string) {
	if w.err == nil {
		_, w.err = io.WriteString(w.to, text)
	}
}

// writeRows writes name and the rows as a list.
func writeRows[T any](ctx context.Context, s *Store, w *subjectWriter, name, query string, consentID uuid.UUID) {
	between := name + "["
	for row, err := range rowsOf[T](ctx, s, query, consentID) {
		var b []byte
		if err == nil {
			b, err = json.Marshal(row)
		}
		w.err = cmp.Or(w.err, err)
		w.print(between)
		w.print(string(b))
		if between = ","; w.err != nil {
			return
		}
	}
	if between != "," {
		w.print(between)
	}
	w.print("]")
}

// rowsOf reads the rows of a consent one by one; an error is the last. A refusal
// has no consent, and so no rows.
func rowsOf[T any](ctx context.Context, s *Store, query string, consentID uuid.UUID) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		if consentID == uuid.Nil {
			return
		}
		rows, err := s.conn.Query(ctx, query, clickhouse.Named("consent", consentID))
		if err == nil {
			defer rows.Close()
			for rows.Next() {
				var next T
				if err = rows.ScanStruct(&next); err != nil {
					break
				}
				if !yield(next, nil) {
					return
				}
			}
			err = cmp.Or(err, rows.Err())
		}
		if err != nil {
			yield(*new(T), fmt.Errorf("read what is held on a consent: %w", err))
		}
	}
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
