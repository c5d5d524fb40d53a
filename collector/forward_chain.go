package collector

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"sluice/consent"
)

// Link is the place of an outcome in the chain of outcomes, by which later
// changes show. Its hash covers the outcome and the hash before it. The receipt
// is covered through Mark, its hash under a salt of its own: where a withdrawal
// cuts the outcome off from its receipt, the salt goes with it, and the chain
// holds still.
type Link struct {
	ChainID  consent.ID `json:"chain_id"`
	N        uint64     `json:"n"` // from 1; 0: from before there were chains
	PrevHash string     `json:"prev_hash"`
	Salt     string     `json:"salt"`
	Mark     string     `json:"mark"` // SHA-256 of salt and receipt id, hex
	Hash     string     `json:"hash"`
}

// linked is what a link's hash is made of, as JSON in this order.
type linked struct {
	ChainID     consent.ID   `json:"chain_id"`
	N           uint64       `json:"n"`
	PrevHash    string       `json:"prev_hash"`
	Site        string       `json:"site"`
	EventID     string       `json:"event_id"`
	EventSeq    uint64       `json:"event_seq"`
	Mark        string       `json:"mark"`
	Destination string       `json:"destination"`
	State       ForwardState `json:"state"`
	Reason      string       `json:"reason"`
	Attempts    int          `json:"attempts"`
	PayloadHash string       `json:"payload_hash"`
	Time        int64        `json:"ts"` // Unix ms: what a row holds
}

// digest is the hash of an outcome in its place.
func (f *Forward) digest() (string, error) {
	b, err := json.Marshal(linked{
		ChainID: f.ChainID, N: f.N, PrevHash: f.PrevHash, Site: f.Site, EventID: f.EventID, EventSeq: f.EventSeq, Mark: f.Mark,
		Destination: f.Destination, State: f.State, Reason: f.Reason, Attempts: f.Attempts, PayloadHash: f.PayloadHash, Time: f.Time.UnixMilli(),
	})
	if err != nil {
		return "", fmt.Errorf("hash forward of %s: %w", f.EventID, err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

func mark(salt string, receipt consent.ID) string {
	sum := sha256.Sum256([]byte(salt + receipt.String()))
	return hex.EncodeToString(sum[:])
}

// SentMatches reports whether what the outcome says was sent has the hash that
// was logged, and whether it says anything at all: where it does not, nothing
// contradicts.
func (f *Forward) SentMatches() (matches, known bool) {
	if f.Sent == "" {
		return true, false
	}
	sum := sha256.Sum256([]byte(f.Sent))
	return hex.EncodeToString(sum[:]) == f.PayloadHash, true
}

// ForwardChain links outcomes.
type ForwardChain struct{ consent.Links }

// NewForwardChain continues a chain from its head.
func NewForwardChain(head consent.Head) *ForwardChain {
	return &ForwardChain{consent.NewLinks(head)}
}

// Link gives an outcome the next place.
func (c *ForwardChain) Link(f *Forward) error {
	last := c.Head()
	f.Link = Link{ChainID: last.ChainID, N: last.N + 1, PrevHash: last.Hash, Salt: rand.Text()}
	f.Mark = mark(f.Salt, f.ReceiptID)
	sum, err := f.digest()
	if err != nil {
		return err
	}
	f.Hash = sum
	c.Add(f.Hash)
	return nil
}

// ForwardChainError names the outcome at which a chain breaks.
type ForwardChainError struct {
	EventID, Destination string
	N                    uint64
	Problem              string
}

func (e *ForwardChainError) Error() string {
	return fmt.Sprintf("forward of event %s to %s (number %d of its chain): %s", e.EventID, e.Destination, e.N, e.Problem)
}

// ForwardVerifier checks outcomes of one chain, handed to it in order.
type ForwardVerifier struct {
	Head consent.Head // of what has been checked so far
	Rows uint64       // that were checked
	// Gone are places in the chain without an outcome: erased at a visitor's
	// wish, expired, or reported twice after a crash, of which the last is kept.
	Gone uint64
}

// Check verifies the next outcome. Every edit, insertion or change of order of
// a stored one makes it return a *ForwardChainError; what is missing is counted.
func (v *ForwardVerifier) Check(f Forward) error {
	problem := func(format string, args ...any) error {
		return &ForwardChainError{f.EventID, f.Destination, f.N, fmt.Sprintf(format, args...)}
	}
	sum, err := f.digest()
	if err != nil {
		return err
	}
	cut := f.Salt == "" && f.ReceiptID == consent.ID{}
	sent, _ := f.SentMatches()
	switch first := v.Rows == 0; {
	case sum != f.Hash:
		return problem("its content does not match its hash: it has been edited")
	case !cut && mark(f.Salt, f.ReceiptID) != f.Mark:
		return problem("it names another receipt than the one it was sent under")
	case !sent:
		return problem("what it says was sent does not match its payload_hash: it has been edited")
	case !first && f.ChainID != v.Head.ChainID:
		return problem("it belongs to chain %s, not %s", f.ChainID, v.Head.ChainID)
	case !first && f.N <= v.Head.N:
		return problem("a number above %d was expected: it is there twice or out of order", v.Head.N)
	case f.N == v.Head.N+1 && f.PrevHash != v.Head.Hash:
		return problem("it does not continue the outcome before it")
	}
	v.Gone += f.N - v.Head.N - 1
	v.Rows++
	v.Head = consent.Head{ChainID: f.ChainID, N: f.N, Hash: f.Hash}
	return nil
}
