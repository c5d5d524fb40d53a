package forward

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"sluice/collector"
	"sluice/collector/spool"
	"sluice/consent"
)

// Options of a [Sink]. Each field without a stated zero is required.
type Options struct {
	// Policy is the site's: it says whose events these are and what a token
	// covers.
	Policy *consent.Policy
	// Service is the recipient's name in the site's notice, and so the
	// destination in the forwards table.
	Service string

	// Destination is how the recipient is told.
	Destination Destination

	Gate     Gate
	Outcomes Outcomes
	// Queue is the folder where what the recipient does not take waits, so that
	// it holds up nobody else. "": in the server's spool, behind the cursor.
	Queue      string
	QueueBytes int64   // bounds the queue on disk; 0: 256 MiB
	Counter    Counter // of what the mapping had to change; nil: nobody counts

	Logger   *slog.Logger     // nil: discarded
	Now      func() time.Time // nil: time.Now
	Parallel int              // requests under way at once; 0: 64
}

// Gate holds withdrawals and erasures off while a request begins.
// [consent.Index] is one.
type Gate interface {
	// Hold runs fn while neither can come into force; now answers what has been
	// cut from a consent at that moment, and which events were erased.
	Hold(fn func(now consent.Held))
}

// Outcomes keeps terminal outcomes.
type Outcomes interface {
	// Record returns once the outcomes are on disk. An error means that they
	// may not be; the sink records them again. It is called from several
	// goroutines, and until Deliver has returned, also when its context is
	// done.
	Record(ctx context.Context, outcomes []collector.Forward) error
}

// Counter counts without waiting for the disk.
type Counter interface {
	Count(c consent.Count)
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.QueueBytes <= 0 {
		o.QueueBytes = 256 << 20
	}
	if o.Parallel <= 0 {
		o.Parallel = 64
	}
	return o
}

// New prepares the sink of one site's service. The error names what is wrong
// with the options; it never holds a secret.
func New(o Options) (*Sink, error) {
	o = o.withDefaults()
	switch {
	case o.Policy == nil || o.Destination == nil || o.Gate == nil || o.Outcomes == nil:
		return nil, errors.New("forwarding: no policy, destination, gate or outcomes")
	case o.Service == "":
		return nil, fmt.Errorf("forwarding for %s: no service name", o.Policy.Site.Domain)
	}
	use, known := o.Policy.ServiceUse(o.Service)
	if !known {
		return nil, fmt.Errorf("forwarding for %s: its notice has no service %q", o.Policy.Site.Domain, o.Service)
	}
	c, err := newClient(o.Destination.URL(), o.Parallel)
	if err != nil {
		return nil, fmt.Errorf("forwarding for %s to %s: %w", o.Policy.Site.Domain, o.Service, err)
	}
	s := &Sink{
		o: o, use: use, to: o.Destination, client: c, settled: map[key]bool{},
		log: o.Logger.With("room", "forward", "site", o.Policy.Site.Domain, "sink", o.Service),
	}
	if o.Queue == "" {
		return s, nil
	}
	s.queue, err = openQueue(o.Queue, spool.Options{MaxBytes: o.QueueBytes, Logger: s.log, Now: o.Now}, s.to.Person, func(k key, seq uint64) {
		s.settled[k] = true
		s.settledUpTo = max(s.settledUpTo, seq)
	})
	if err != nil {
		return nil, err
	}
	if err := sign(o.Queue, o.Service); err != nil {
		return nil, errors.Join(err, s.queue.Close())
	}
	return s, nil
}

// NamePrefix opens the name of every sink's cursor, so that those of sites no
// longer configured can be told, and forgotten: a cursor that nobody moves
// keeps the spool's segments.
const NamePrefix = "forward-"

var foreignRun = regexp.MustCompile(`[^A-Za-z0-9]+`)

// Name names the sink's cursor in the spool, and its queue: stable, and unique
// to site and service.
func (s *Sink) Name() string { return Name(s.o.Policy.Site.Domain, s.o.Service) }

// Name is what [Sink.Name] is for a site's service.
func Name(domain, service string) string {
	whole := service + "-" + domain
	sum := sha256.Sum256([]byte(whole))
	slug := strings.ToLower(foreignRun.ReplaceAllString(whole, "_"))
	return NamePrefix + slug[:min(len(slug), 48)] + "-" + hex.EncodeToString(sum[:4])
}
