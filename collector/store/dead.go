package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/uuid"

	"sluice/collector/spool"
)

// DeadLetter is a record that no table takes, with the reason: a line of a file
// in data_dir/dead.
type DeadLetter struct {
	Time   time.Time  `json:"ts"` // when it was refused last
	Spool  uuid.UUID  `json:"spool_id"`
	Seq    uint64     `json:"seq"`
	Kind   spool.Kind `json:"kind"`
	Reason string     `json:"reason"` // without values of the record
	Data   []byte     `json:"data"`   // the record's bytes; of counters, the counts that were refused
}

// ID names a letter for a person: the beginning of the spool's identity and the
// record's seq.
func (l *DeadLetter) ID() string { return fmt.Sprintf("%x-%d", l.Spool[:4], l.Seq) }

// KindName is what the record holds, in a word.
func (l *DeadLetter) KindName() string {
	names := [...]string{
		spool.KindEvent: "event", spool.KindReceipt: "receipt", spool.KindWithdrawal: "withdrawal",
		spool.KindTombstone: "tombstone", spool.KindCounter: "counter", spool.KindForward: "forward",
		spool.KindContact: "contact",
	}
	if int(l.Kind) < len(names) && names[l.Kind] != "" {
		return names[l.Kind]
	}
	return fmt.Sprintf("kind %d", l.Kind)
}

func newDeadLetter(spoolID uuid.UUID, r spool.Record, why error) DeadLetter {
	return DeadLetter{Time: time.Now().UTC(), Spool: spoolID, Seq: r.Seq, Kind: r.Kind, Reason: reason(why), Data: r.Data}
}

var (
	// What follows these words in an exception are values of the row.
	rowValues = regexp.MustCompile(`(?s)\.? Column values: .*`)
	quoted    = regexp.MustCompile(`'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"`)
)

// reason says why a record was refused, in words that may be printed: without
// what the record holds.
func reason(err error) string {
	text := err.Error()
	var e *clickhouse.Exception
	if errors.As(err, &e) {
		text = fmt.Sprintf("code %d: %s", e.Code, e.Message)
	}
	text = quoted.ReplaceAllString(rowValues.ReplaceAllString(text, ""), "'…'")
	text = strings.Join(strings.Fields(text), " ")
	const most = 300
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "…"
	}
	return text
}

// bury keeps what was refused of a batch and says so. A batch that comes again
// has the letters of its last attempt.
func (s *Store) bury(ctx context.Context, b *spool.Batch, letters []DeadLetter) error {
	if now := time.Now(); now.Sub(s.dead.expired) > time.Hour {
		s.dead.expired = now
		if err := s.dead.expire(now); err != nil {
			s.log.ErrorContext(ctx, "old dead letters stay for another hour", "err", err)
		}
	}
	first := b.Attempt <= 1 && !b.Recovered
	if len(letters) == 0 && first {
		return nil
	}
	name := letterFile(b.Spool, b.First)
	err := s.dead.locked(func() error { return s.dead.put(name, letters) })
	if err != nil || len(letters) == 0 {
		return err
	}
	s.log.WarnContext(ctx, "records went to the dead letters, see sluice spool dead",
		"batch", b.First, "records", len(letters), "err", letters[0].Reason)
	return nil
}

// Replay brings the dead letters that chosen names to ClickHouse once more, and
// returns those that are stored now and those that were refused again, with
// their new reasons. It may run beside the server that buried them, in another
// process too: each row is written once, under the seq it always had, and only
// where it is not there yet. The error says that ClickHouse could not be asked;
// letters whose file was not reached stay as they are.
func (s *Store) Replay(ctx context.Context, chosen func(*DeadLetter) bool) (stored, refused []DeadLetter, err error) {
	err = s.dead.edit(func(name string, letters []DeadLetter) (keep []DeadLetter, err error) {
		var again []DeadLetter
		for _, l := range letters {
			if chosen(&l) {
				again = append(again, l)
			} else {
				keep = append(keep, l)
			}
		}
		if len(again) == 0 {
			return letters, nil
		}
		bad, err := s.redeliver(ctx, again)
		if err != nil {
			return nil, fmt.Errorf("put back %d dead letters of %s: %w", len(again), name, err)
		}
		refused = append(refused, bad...)
		for _, l := range again {
			if !slices.ContainsFunc(bad, func(b DeadLetter) bool { return b.Seq == l.Seq }) {
				stored = append(stored, l)
			}
		}
		return append(keep, bad...), nil
	})
	slices.SortFunc(stored, byRecord)
	slices.SortFunc(refused, byRecord)
	return stored, refused, err
}

// ReplayDead is Replay for whoever has no store: it connects as the commands
// do, to the engine of a server that runs or to one of its own.
func ReplayDead(ctx context.Context, o Options, chosen func(*DeadLetter) bool) (stored, refused []DeadLetter, err error) {
	s, err := OpenForReading(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return s.Replay(ctx, chosen)
}

// replayDeadline bounds how long one file's letters take, and with it how long
// the writer may have to wait to bury others.
const replayDeadline = 30 * time.Second

// redeliver writes the letters of one file, all of one batch once, and returns
// those that are refused again.
func (s *Store) redeliver(ctx context.Context, letters []DeadLetter) ([]DeadLetter, error) {
	ctx, cancel := context.WithTimeout(ctx, replayDeadline)
	defer cancel()
	b := letterBatch(letters)
	return s.write(ctx, b, s.decode(b, true))
}

// letterBatch makes a batch of letters that is read back before it is written.
func letterBatch(letters []DeadLetter) *spool.Batch {
	b := &spool.Batch{Spool: letters[0].Spool, Attempt: 1, Recovered: true}
	for _, l := range letters {
		b.Records = append(b.Records, spool.Record{Seq: l.Seq, Kind: l.Kind, Data: l.Data})
	}
	b.First, b.Last = b.Records[0].Seq, b.Records[len(b.Records)-1].Seq
	return b
}

// reaches reports whether a cut takes back what the letter holds: an event or
// its outcome at a destination, or a kind that this version does not know,
// with the consent's id or that of one of its receipts anywhere in its bytes.
// So it reaches records that cannot be read, too. They are removed: nothing
// counts them.
func (c *cut) reaches(l *DeadLetter, spoolID uuid.UUID, receipts []uuid.UUID) bool {
	switch l.Kind {
	case spool.KindReceipt, spool.KindWithdrawal, spool.KindTombstone, spool.KindCounter:
		return false
	}
	if l.Spool == spoolID && l.Seq >= c.before {
		return false
	}
	for _, id := range append([]uuid.UUID{c.consentID}, receipts...) {
		if bytes.Contains(l.Data, id[:]) || bytes.Contains(l.Data, []byte(id.String())) {
			return true
		}
	}
	return false
}
