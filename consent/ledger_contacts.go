package consent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// OptIn is a grant for a channel that the site's backend has obtained.
type OptIn struct {
	Channel  Channel
	Address  AddressKey
	Notice   string // version of what the person was told, "" for the site's notice
	Language string
	Wording  string // the sentence that was agreed to; its hash alone is kept
}

// maxEarlier is how many ids of earlier grants a contact keeps.
const maxEarlier = 16

// OptIn records a grant for a channel. It goes on under the same id where one
// is live, and revives none that has ended. Error: ErrUnavailable.
func (l *Ledger) OptIn(ctx context.Context, policy *Policy, in OptIn) (Contact, Receipt, error) {
	l.contacts.Lock()
	defer l.contacts.Unlock()
	if l.Index.Owed(in.Address) { // what came first is recorded first
		if _, err := l.recordRefusal(ctx, policy, in.Channel, in.Address); err != nil {
			return Contact{}, Receipt{}, err
		}
	}
	r := l.channelReceipt(policy, in.Channel, true)
	id, earlier := uuid.New(), []ID(nil)
	if before := l.Index.Contact(in.Address); before.Reason(r.Time) == Live {
		id, earlier = before.ConsentID, before.Earlier
	} else if before != nil {
		earlier = before.ids()
		earlier = earlier[max(0, len(earlier)-maxEarlier):]
	}
	r.ConsentID, r.Issued = id, r.Time.Truncate(time.Second)
	r.Expires = r.Time.Add(policy.Site.Lifetime())
	r.Language = in.Language
	if in.Notice != "" && in.Notice != r.Notice {
		r.Notice, r.NoticeHash = in.Notice, "" // not one that Sluice has seen
	}
	if in.Wording != "" {
		sum := sha256.Sum256([]byte(in.Wording))
		r.ShownHash = hex.EncodeToString(sum[:])
	}
	c := Contact{
		Address: in.Address, Site: policy.Site.Domain, Channel: in.Channel,
		ConsentID: r.ConsentID, Earlier: earlier, ReceiptID: r.ReceiptID, Granted: true, Time: r.Time, Expires: r.Expires,
	}
	if err := l.recordContact(ctx, &c, &r, ChannelGranted); err != nil {
		return Contact{}, Receipt{}, err
	}
	return c, r, nil
}

// OptOut takes back what was granted for a channel, and is an objection where
// nothing was: both stand until the next grant. It is in force before the call
// returns, also when it returns ErrUnavailable; repeated, it changes nothing.
func (l *Ledger) OptOut(ctx context.Context, policy *Policy, channel Channel, a AddressKey) (Contact, error) {
	l.Index.Refuse(Contact{Address: a, Site: policy.Site.Domain, Channel: channel, Time: l.Now().UTC().Truncate(time.Millisecond)})
	l.contacts.Lock()
	defer l.contacts.Unlock()
	if c := l.Index.Contact(a); c != nil && !c.Granted && !l.Index.Owed(a) {
		return *c, nil
	}
	return l.recordRefusal(ctx, policy, channel, a)
}

// recordRefusal is called with l.contacts held. Whoever asked may be gone: what
// they said is recorded all the same.
func (l *Ledger) recordRefusal(ctx context.Context, policy *Policy, channel Channel, a AddressKey) (Contact, error) {
	r := l.channelReceipt(policy, channel, false)
	c := Contact{Address: a, Site: policy.Site.Domain, Channel: channel, ReceiptID: r.ReceiptID, Time: r.Time}
	if before := l.Index.Contact(a); before != nil && before.ConsentID != (ID{}) {
		c.ConsentID, c.Earlier, c.Expires = before.ConsentID, before.Earlier, before.Expires
		r.ConsentID, r.Issued = c.ConsentID, r.Time.Truncate(time.Second)
	}
	return c, l.recordContact(context.WithoutCancel(ctx), &c, &r, ChannelWithdrawn)
}

// channelReceipt is a decision about a channel, without whose it is.
func (l *Ledger) channelReceipt(policy *Policy, channel Channel, granted bool) Receipt {
	now := l.Now().UTC().Truncate(time.Millisecond)
	method := Withdraw
	if granted {
		method = API
	}
	return Receipt{
		Schema: ReceiptSchema, ReceiptID: uuid.New(), Site: policy.Site.Domain, Time: now, Expires: now,
		Controller: policy.Site.Controller, PolicyURL: policy.Site.Notice.PolicyURL,
		Notice: policy.Current.Version, NoticeHash: policy.Current.Hash, Method: method, LegalBasis: "consent",
		Purposes: map[Purpose]bool{Purpose(channel): granted}, Services: map[string]bool{},
	}
}

func (l *Ledger) recordContact(ctx context.Context, c *Contact, r *Receipt, what string) error {
	n := NewCount(c.Site, CountChannel, string(c.Channel)+" "+what, c.Time)
	if err := l.Recorder.Record(ctx, Commitment{Receipt: r, Contact: c, Counts: []Count{n}}); err != nil {
		return fmt.Errorf("record decision about %s for %s: %w", c.Channel, c.Site, err)
	}
	return nil
}
