package consent

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Method says how a choice was made.
type Method string

// The methods that a decision may name.
const (
	AcceptAll Method = "accept_all"
	RejectAll Method = "reject_all"
	Custom    Method = "custom"
	Withdraw  Method = "withdraw"
	MethodGPC Method = "gpc"
	Form      Method = "form"
	Once      Method = "once"
	API       Method = "api"
)

// Methods lists all of them.
var Methods = []Method{AcceptAll, RejectAll, Custom, Withdraw, MethodGPC, Form, Once, API}

// ReceiptSchema names the layout of a receipt's canonical JSON; its fields
// follow ISO/IEC TS 27560:2023 (header, processing, parties, event).
const ReceiptSchema = "sluice-receipt-1 (ISO/IEC TS 27560:2023)"

// Receipt is the record of one decision. It holds no address, no user agent
// and no visitor id (GDPR Art. 5(1)(c)): ConsentID is a random value that only
// the browser's token repeats, and is zero where nothing was ever granted.
//
// Receipts of one data directory form a chain: Hash is SHA-256 over the
// canonical JSON with an empty Hash, and PrevHash is the Hash of receipt N-1.
type Receipt struct {
	Schema     string           `json:"schema"`
	ChainID    ID               `json:"chain_id"`
	N          uint64           `json:"n"` // 1, 2, 3 … within the chain
	ReceiptID  ID               `json:"receipt_id"`
	ConsentID  ID               `json:"consent_id,omitzero"` // none where nothing was ever granted
	Site       string           `json:"site"`
	Time       time.Time        `json:"ts"`              // UTC, to the millisecond
	Issued     time.Time        `json:"issued,omitzero"` // of its token: later than Time where one consent is changed more than once a second; zero where there is no consent
	Expires    time.Time        `json:"expires"`
	Controller Controller       `json:"controller"`
	PolicyURL  string           `json:"policy_url,omitempty"`
	Notice     string           `json:"notice"`      // version
	NoticeHash string           `json:"notice_hash"` // of the notice as configured
	ShownHash  string           `json:"shown_hash,omitempty"`
	Language   string           `json:"language"`
	Variant    string           `json:"variant"`
	Method     Method           `json:"method"`
	LegalBasis string           `json:"legal_basis"` // "consent", GDPR Art. 6(1)(a)
	GPC        bool             `json:"gpc"`
	Purposes   map[Purpose]bool `json:"purposes"` // every purpose that was asked, essential not among them
	Services   map[string]bool  `json:"services"` // every service that was asked
	Recipients []string         `json:"recipients,omitempty"`
	Country    string           `json:"country"` // of the visitor, "" where unknown
	PrevHash   string           `json:"prev_hash"`
	Hash       string           `json:"hash"`
}

// Grants reports whether the decision granted anything.
func (r *Receipt) Grants() bool {
	for _, yes := range r.Purposes {
		if yes {
			return true
		}
	}
	return false
}

// GrantedPurposes and GrantedServices list what was granted, sorted.
func (r *Receipt) GrantedPurposes() []string { return grantedKeys(r.Purposes) }

// GrantedServices lists the services that were granted, sorted.
func (r *Receipt) GrantedServices() []string { return grantedKeys(r.Services) }

func grantedKeys[K ~string](m map[K]bool) []string {
	out := []string{}
	for k, yes := range m {
		if yes {
			out = append(out, string(k))
		}
	}
	slices.Sort(out)
	return out
}

// Canonical returns the JSON that is stored and hashed: fields in the order of
// the struct, map keys sorted, times in UTC.
func (r Receipt) Canonical() ([]byte, error) {
	r.Time, r.Expires = r.Time.UTC().Truncate(time.Millisecond), r.Expires.UTC().Truncate(time.Second)
	b, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode receipt %s: %w", r.ReceiptID, err)
	}
	return b, nil
}

// Digest returns what Hash must be.
func (r Receipt) Digest() (string, error) {
	r.Hash = ""
	b, err := r.Canonical()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

// DecodeReceipt reads canonical JSON.
func DecodeReceipt(b []byte) (Receipt, error) {
	var r Receipt
	if err := json.Unmarshal(b, &r); err != nil {
		return Receipt{}, fmt.Errorf("decode receipt: %w", err)
	}
	return r, nil
}

// Withdrawal lowers a consent. It is in force from the moment it enters the
// [Index]; the record makes that last.
type Withdrawal struct {
	Site      string           `json:"site"`
	ConsentID ID               `json:"consent_id"`
	ReceiptID ID               `json:"receipt_id"` // of the decision that lowered it; zero where there is none
	Time      time.Time        `json:"ts"`
	Cut       Cut              `json:"cut"`
	Events    WithdrawalAction `json:"events,omitempty"` // "" where collected events stay as they are
}

// Tombstone asks for the erasure of everything collected under a consent
// before it (GDPR Art. 17). Receipts stay, as proof (Art. 17(3)(e)).
type Tombstone struct {
	Site      string    `json:"site"`
	ConsentID ID        `json:"consent_id"`
	Time      time.Time `json:"ts"`
	Expires   time.Time `json:"expires"` // when no token of the consent can be live any more
}

// AppendBinary appends the spool encoding, which is JSON: these records are
// rare, and a person may have to read them.
func (w Withdrawal) AppendBinary(dst []byte) ([]byte, error) { return appendJSON(dst, w) }

// AppendBinary appends the spool encoding, JSON as well.
func (t Tombstone) AppendBinary(dst []byte) ([]byte, error) { return appendJSON(dst, t) }

// DecodeWithdrawal reads what Withdrawal.AppendBinary wrote.
func DecodeWithdrawal(b []byte) (Withdrawal, error) { return decodeJSON[Withdrawal](b, "withdrawal") }

// DecodeTombstone reads what Tombstone.AppendBinary wrote.
func DecodeTombstone(b []byte) (Tombstone, error) { return decodeJSON[Tombstone](b, "tombstone") }

func appendJSON(dst []byte, v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return append(dst, b...), nil
}

func decodeJSON[T any](b []byte, what string) (T, error) {
	var v T
	if err := json.Unmarshal(b, &v); err != nil {
		return v, fmt.Errorf("decode %s: %w", what, err)
	}
	return v, nil
}
