package consent

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
)

// Head is the end of a receipt chain: the number and hash of its last link.
type Head struct {
	ChainID ID     `json:"chain_id"`
	N       uint64 `json:"n"`
	Hash    string `json:"hash"` // "" before the first receipt
}

// Links is the growing end of a chain. Add and Settled are called by the spool's
// committer goroutine alone; a link counts once the frame that holds it is on
// disk.
type Links struct {
	head    Head // including links of the frame being written
	durable Head
}

// NewLinks continues a chain from its head.
func NewLinks(head Head) Links { return Links{head: head, durable: head} }

// Head is what the next link continues.
func (l *Links) Head() Head { return l.head }

// Add adds a link with that hash.
func (l *Links) Add(hash string) { l.head.N, l.head.Hash = l.head.N+1, hash }

// Settled tells the chain that the frame with the links since the last call is
// on disk (nil), or is not and never will be. It returns the head on disk.
func (l *Links) Settled(err error) Head {
	if err != nil {
		l.head = l.durable
	}
	l.durable = l.head
	return l.durable
}

// Chain links receipts.
type Chain struct{ Links }

// NewChain continues a chain from its head.
func NewChain(head Head) *Chain { return &Chain{NewLinks(head)} }

// Link gives r its place and returns its canonical JSON.
func (c *Chain) Link(r *Receipt) ([]byte, error) {
	last := c.Head()
	r.Schema, r.ChainID, r.N, r.PrevHash, r.Hash = ReceiptSchema, last.ChainID, last.N+1, last.Hash, ""
	sum, err := r.Digest()
	if err != nil {
		return nil, err
	}
	r.Hash = sum
	b, err := r.Canonical()
	if err != nil {
		return nil, err
	}
	c.Add(r.Hash)
	return b, nil
}

// ChainError names the receipt at which a chain breaks.
type ChainError struct {
	ReceiptID ID
	N         uint64
	Problem   string
}

func (e *ChainError) Error() string {
	return fmt.Sprintf("receipt %s (number %d of its chain): %s", e.ReceiptID, e.N, e.Problem)
}

// unhashed returns a stored receipt with the value of its last field, the
// hash, taken out: the bytes that the hash was made of. Working on the bytes,
// it finds edits that JSON would read alike, and reads receipts whose fields
// this version does not know.
func unhashed(body []byte, hash string) ([]byte, bool) {
	end := `"hash":"` + hash + `"}`
	before, ok := bytes.CutSuffix(body, []byte(end))
	return slices.Concat(before, []byte(`"hash":""}`)), ok
}

// Verifier checks receipts of one chain, handed to it in order.
type Verifier struct {
	Head Head // of what has been checked so far
}

// Check verifies the next receipt. Every edit, removal, insertion or change of
// order of a stored receipt makes it return a *ChainError.
func (v *Verifier) Check(body []byte) (Receipt, error) {
	r, err := DecodeReceipt(body)
	if err != nil {
		return Receipt{}, &ChainError{N: v.Head.N + 1, Problem: "it cannot be read: " + err.Error()}
	}
	problem := func(format string, args ...any) (Receipt, error) {
		return r, &ChainError{ReceiptID: r.ReceiptID, N: r.N, Problem: fmt.Sprintf(format, args...)}
	}
	content, ok := unhashed(body, r.Hash)
	switch first := v.Head.N == 0; {
	case !ok || fmt.Sprintf("%x", sha256.Sum256(content)) != r.Hash:
		return problem("its content does not match its hash: it has been edited")
	case !first && r.ChainID != v.Head.ChainID:
		return problem("it belongs to chain %s, not %s", r.ChainID, v.Head.ChainID)
	case r.N != v.Head.N+1:
		return problem("number %d was expected: receipts are missing or out of order", v.Head.N+1)
	case r.PrevHash != v.Head.Hash:
		return problem("it does not continue the receipt before it")
	}
	v.Head = Head{ChainID: r.ChainID, N: r.N, Hash: r.Hash}
	return r, nil
}

// ErrNoReceipts is a ledger without a single receipt.
var ErrNoReceipts = errors.New("the ledger holds no receipts yet")
