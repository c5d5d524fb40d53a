package consent

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Index remembers what must never be forgotten while a token may still be
// presented: what was cut from each consent, and which consents are to be
// erased; and who may be written to on which channel. It answers from memory; Save writes it to one file (consent.idx),
// and the spool's tail after the saved position brings it up to date at start.
//
// The same lock orders withdrawals and erasures against sends: a sender holds it
// for reading from its check to the first byte written (see [Index.Hold]), they
// take it for writing. So once a withdrawal has returned, no send that rests on
// the consent can begin, and once an erasure has, none of what it erases.
type Index struct {
	mu    sync.RWMutex
	cuts  map[ID]*Cut
	tombs map[ID]tomb

	contacts map[AddressKey]*known
	grants   map[ID]AddressKey // of the contacts' last grants
}

// tomb erases what a consent collected in records up to Seq of spool Spool.
type tomb struct {
	Spool   ID     `json:"spool"`
	Seq     uint64 `json:"seq"`
	Expires uint32 `json:"expires"`
}

// NewIndex returns an empty index.
func NewIndex() *Index {
	return &Index{cuts: map[ID]*Cut{}, tombs: map[ID]tomb{}, contacts: map[AddressKey]*known{}, grants: map[ID]AddressKey{}}
}

// Cut returns what has been taken back from a consent; nil: nothing. The
// result is shared and never changes.
func (x *Index) Cut(consent ID) *Cut {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.cuts[consent]
}

// Apply puts a cut in force. It returns when no send that began before it is
// still before its first byte.
func (x *Index) Apply(consent ID, cut *Cut) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.cuts[consent] = x.cuts[consent].merge(cut)
}

// Seen notes a receipt found in the spool's tail, so that the next token of its
// consent gets a later issue time also after a crash.
func (x *Index) Seen(r Receipt) {
	if r.ConsentID != (ID{}) {
		x.Apply(r.ConsentID, &Cut{Latest: uint32(r.Issued.Unix())})
	}
}

// Held is the index at a moment that lasts as long as [Index.Hold].
type Held struct{ index *Index }

// Cut returns what has been taken back from a consent; nil: nothing.
func (h Held) Cut(consent ID) *Cut { return h.index.cuts[consent] }

// Erased answers as [Index.Erased] does.
func (h Held) Erased(consent, spool ID, seq uint64) bool {
	t, ok := h.index.tombs[consent]
	return ok && (t.Spool != spool || seq <= t.Seq)
}

// Hold runs fn while neither a withdrawal nor an erasure can come into force.
// now is only good within fn, which must be short and must not call the index.
func (x *Index) Hold(fn func(now Held)) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	fn(Held{x})
}

// Bury records that everything collected under the consent in records up to
// seq of the spool is to be erased. It returns as Apply does.
func (x *Index) Bury(consent, spool ID, seq uint64, expires time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.tombs[consent] = tomb{Spool: spool, Seq: seq, Expires: uint32(expires.Unix())}
}

// Erased reports whether the record seq of the spool was collected under a
// consent whose holder has asked for erasure since.
func (x *Index) Erased(consent, spool ID, seq uint64) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return Held{x}.Erased(consent, spool, seq)
}

// Size returns how many cuts and tombstones are held.
func (x *Index) Size() (cuts, tombstones int) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return len(x.cuts), len(x.tombs)
}

// Sweep forgets what cannot matter any more: every token it speaks of has
// expired, or it takes nothing back and the clock has long passed the issue
// time that it remembers.
func (x *Index) Sweep(now time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	limit := uint32(now.Unix())
	passed := uint32(now.Add(-2 * maxAhead).Unix())
	for id, c := range x.cuts {
		if c.Expires < limit && !c.empty() || c.empty() && c.Latest < passed {
			delete(x.cuts, id)
		}
	}
	for id, t := range x.tombs {
		if t.Expires < limit {
			delete(x.tombs, id)
		}
	}
	x.sweepContacts(now)
}

// Position says up to where in the spool a saved index is complete.
type Position struct {
	Spool ID     `json:"spool"`
	Seq   uint64 `json:"seq"` // of the last record that is accounted for
	Head  Head   `json:"head"`
	// Forwards is the end of the chain of outcomes at other recipients.
	Forwards Head `json:"forwards"`
	// Keys are the ids of token keys that have signed receipts here, hex:
	// a server that no longer holds one refuses to start.
	Keys map[string]uint32 `json:"keys"` // key id → Unix seconds of its last signature
	// Addresses tells under which key contacts are kept, see Addresses.Check.
	Addresses string `json:"addresses,omitempty"`
}

// indexLine is one line of consent.idx: the position first, then cuts,
// tombstones and contacts. The last line, the trailer, holds the SHA-256 of all before it.
type indexLine struct {
	Version   int       `json:"v,omitempty"`
	Position  *Position `json:"position,omitempty"`
	Consent   *ID       `json:"consent,omitempty"`
	Cut       *Cut      `json:"cut,omitempty"`
	Tombstone *tomb     `json:"tombstone,omitempty"`
	Contact   *Contact  `json:"contact,omitempty"`
	RefusedAt time.Time `json:"refused_at,omitzero"` // when the contact refused, which the ledger does not have
}

// indexVersion is the version of the file's layout.
const indexVersion = 1

func trailer(lines []byte) []byte {
	return fmt.Appendf(nil, "{\"sha256\":\"%x\"}\n", sha256.Sum256(lines))
}

var trailerLength = len(trailer(nil))

// Save writes the index and its position to path: a temporary file, fsynced,
// renamed, its directory fsynced.
func (x *Index) Save(path string, at Position) error {
	var buf bytes.Buffer
	if err := x.encode(&buf, at); err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	if err := WriteFile(path, buf.Bytes(), 0o600); err != nil {
		return fmt.Errorf("save consent index: %w", err)
	}
	return nil
}

func (x *Index) encode(buf *bytes.Buffer, at Position) error {
	enc := json.NewEncoder(buf)
	for _, l := range x.lines(at) {
		if err := enc.Encode(l); err != nil {
			return err
		}
	}
	buf.Write(trailer(buf.Bytes()))
	return nil
}

// lines is what the file says at one moment. Encoding it takes longer than a
// withdrawal, and all who wait behind it, may be held up.
func (x *Index) lines(at Position) []indexLine {
	x.mu.RLock()
	defer x.mu.RUnlock()
	lines := make([]indexLine, 0, 1+len(x.cuts)+len(x.tombs)+len(x.contacts))
	lines = append(lines, indexLine{Version: indexVersion, Position: &at})
	for id, c := range x.cuts {
		lines = append(lines, indexLine{Consent: &id, Cut: c})
	}
	for id, t := range x.tombs {
		lines = append(lines, indexLine{Consent: &id, Tombstone: &t})
	}
	for _, k := range x.contacts {
		c := k.Contact
		lines = append(lines, indexLine{Contact: &c, RefusedAt: k.refusedAt})
	}
	return lines
}

// ErrDamagedIndex is a consent.idx whose checksum does not match. Without it a
// withdrawn consent could come back to life, so a server does not start.
var ErrDamagedIndex = errors.New("the consent index is missing or damaged, so withdrawals are unknown: restore consent.idx from a backup, or delete it together with keys/token* to ask every visitor again")

// LoadIndex reads what Save wrote. A file that is not there is
// fs.ErrNotExist; a damaged one ErrDamagedIndex.
func LoadIndex(path string) (*Index, Position, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, Position{}, fmt.Errorf("load consent index: %w", err)
	}
	if len(b) < trailerLength {
		return nil, Position{}, fmt.Errorf("%s: %w", path, ErrDamagedIndex)
	}
	lines := b[:len(b)-trailerLength]
	if !bytes.Equal(trailer(lines), b[len(lines):]) {
		return nil, Position{}, fmt.Errorf("%s: %w", path, ErrDamagedIndex)
	}
	x, at, err := decodeIndex(lines)
	if err != nil {
		return nil, Position{}, fmt.Errorf("%s: %w", path, err)
	}
	return x, at, nil
}

// decodeIndex reads lines whose checksum is right: what it does not know was
// written by another version.
func decodeIndex(lines []byte) (*Index, Position, error) {
	dec := json.NewDecoder(bytes.NewReader(lines))
	var first indexLine
	if err := dec.Decode(&first); err != nil || first.Version != indexVersion || first.Position == nil {
		return nil, Position{}, fmt.Errorf("layout %d is not the one that this version of Sluice reads, %d", first.Version, indexVersion)
	}
	x := NewIndex()
	for dec.More() {
		var l indexLine
		if err := dec.Decode(&l); err != nil || l.Consent == nil && l.Contact == nil {
			return nil, Position{}, ErrDamagedIndex
		}
		if l.Contact != nil {
			x.meet(&known{*l.Contact, l.RefusedAt})
			continue
		}
		if l.Cut != nil {
			x.cuts[*l.Consent] = l.Cut
		}
		if l.Tombstone != nil {
			x.tombs[*l.Consent] = *l.Tombstone
		}
	}
	return x, *first.Position, nil
}

// WriteFile replaces path with data so that after a crash either the old or
// the new content is there, whole.
func WriteFile(path string, data []byte, mode os.FileMode) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	if _, err = tmp.Write(data); err != nil {
		return errors.Join(err, tmp.Close())
	}
	if err = errors.Join(tmp.Chmod(mode), tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err = os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
