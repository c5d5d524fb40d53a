package consent

import "time"

// contactKept is how long a contact is remembered after its last decision: the
// ceiling of what receipts are kept for. Nobody forgotten may be written to.
const contactKept = 36 * 31 * 24 * time.Hour

// known is a contact of the index. RefusedAt is when the person refused without
// a record of it on disk; zero: there is none such. It is in force all the same,
// against all that was granted until then.
type known struct {
	Contact
	refusedAt time.Time
}

// since joins a decision with a refusal that may have come after it.
func since(c Contact, refusedAt time.Time) *known {
	if refusedAt.Before(c.Time) || !c.Granted && c.ReceiptID != (ID{}) && !refusedAt.After(c.Time) {
		refusedAt = time.Time{}
	}
	return &known{c, refusedAt}
}

// Contact returns what is known of an address; nil: nothing.
func (x *Index) Contact(a AddressKey) *Contact {
	x.mu.RLock()
	defer x.mu.RUnlock()
	k := x.contacts[a]
	if k == nil {
		return nil
	}
	c := k.Contact
	c.Granted = c.Granted && k.refusedAt.IsZero()
	return &c
}

// Contacts returns how many are held.
func (x *Index) Contacts() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return len(x.contacts)
}

// ForgetContacts forgets all of them: nobody may be written to.
func (x *Index) ForgetContacts() {
	x.mu.Lock()
	defer x.mu.Unlock()
	clear(x.contacts)
	clear(x.grants)
}

// ContactOf returns the contact of a grant's id; nil: none has it. A later grant
// of the same contact may have another.
func (x *Index) ContactOf(grant ID) *Contact {
	x.mu.RLock()
	a, ok := x.grants[grant]
	x.mu.RUnlock()
	if !ok {
		return nil
	}
	return x.Contact(a)
}

// Refuse puts a refusal in force before it is on disk; c is what to note of
// somebody who was never heard of.
func (x *Index) Refuse(c Contact) {
	x.mu.Lock()
	defer x.mu.Unlock()
	at := c.Time
	if k := x.contacts[c.Address]; k != nil {
		if !k.Granted {
			return
		}
		c = k.Contact
		if at.Before(c.Time) {
			at = c.Time // a clock that was set back
		}
	}
	x.contacts[c.Address] = &known{c, at}
}

// Owed reports whether a refusal of the address waits to be recorded.
func (x *Index) Owed(a AddressKey) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	k := x.contacts[a]
	return k != nil && !k.refusedAt.IsZero()
}

// Meet notes a decision that is on disk.
func (x *Index) Meet(c Contact) {
	x.mu.Lock()
	defer x.mu.Unlock()
	var refusedAt time.Time
	if k := x.contacts[c.Address]; k != nil {
		refusedAt = k.refusedAt
	}
	x.meet(since(c, refusedAt))
}

func (x *Index) meet(k *known) {
	if before := x.contacts[k.Address]; before != nil {
		x.forget(before)
	}
	x.contacts[k.Address] = k
	for _, id := range k.ids() {
		x.grants[id] = k.Address
	}
}

func (x *Index) forget(k *known) {
	delete(x.contacts, k.Address)
	for _, id := range k.ids() {
		delete(x.grants, id)
	}
}

// ids are those of all grants that are remembered.
func (c *Contact) ids() []ID {
	if c.ConsentID == (ID{}) {
		return c.Earlier
	}
	return append(c.Earlier[:len(c.Earlier):len(c.Earlier)], c.ConsentID)
}

// mergeContacts takes over what another index knows later, or as late and less.
func (x *Index) mergeContacts(later *Index) {
	for a, k := range later.contacts {
		mine := x.contacts[a]
		if mine == nil {
			x.meet(k)
			continue
		}
		c, refusedAt := mine.Contact, mine.refusedAt
		if k.Time.After(c.Time) || k.Time.Equal(c.Time) && !k.Granted {
			c = k.Contact
		}
		if k.refusedAt.After(refusedAt) {
			refusedAt = k.refusedAt
		}
		x.meet(since(c, refusedAt))
	}
}

// sweepContacts forgets those who have not been heard of for longer than
// anything is kept.
func (x *Index) sweepContacts(now time.Time) {
	for _, k := range x.contacts {
		if now.Sub(k.Time) > contactKept {
			x.forget(k)
		}
	}
}
