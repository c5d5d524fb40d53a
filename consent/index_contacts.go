package consent

import "time"

// contactKept is how long a contact is remembered after its last decision: the
// ceiling of what receipts are kept for. Nobody forgotten may be written to.
const contactKept = 36 * 31 * 24 * time.Hour

// known is a contact of the index. Refused says that the person has refused since
// and the record of that is not on disk: it is in force all the same.
type known struct {
	Contact
	refused bool
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
	c.Granted = c.Granted && !k.refused
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

// ContactOf returns the contact whose last grant has that id; nil: none has.
func (x *Index) ContactOf(grant ID) *Contact {
	x.mu.RLock()
	a, ok := x.grants[grant]
	x.mu.RUnlock()
	if !ok {
		return nil
	}
	return x.Contact(a)
}

// Refuse puts a refusal in force before it is on disk.
func (x *Index) Refuse(c Contact) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if k := x.contacts[c.Address]; k != nil {
		k.refused = k.refused || k.Granted
		return
	}
	x.contacts[c.Address] = &known{Contact: c, refused: true}
}

// Owed reports whether a refusal of the address waits to be recorded.
func (x *Index) Owed(a AddressKey) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	k := x.contacts[a]
	return k != nil && k.refused
}

// Meet notes a decision that is on disk.
func (x *Index) Meet(c Contact) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.meet(c)
}

func (x *Index) meet(c Contact) {
	refused := false
	if k := x.contacts[c.Address]; k != nil {
		delete(x.grants, k.ConsentID)
		refused = k.refused && c.Granted // by somebody who waits to record it
	}
	x.contacts[c.Address] = &known{c, refused}
	if c.ConsentID != (ID{}) {
		x.grants[c.ConsentID] = c.Address
	}
}

// mergeContacts takes over what another index knows later, or as late and less.
func (x *Index) mergeContacts(later *Index) {
	for a, k := range later.contacts {
		mine := x.contacts[a]
		if mine == nil || k.Time.After(mine.Time) || k.Time.Equal(mine.Time) && !k.Granted {
			x.meet(k.Contact)
		}
	}
}

// sweepContacts forgets those who have not been heard of for longer than
// anything is kept.
func (x *Index) sweepContacts(now time.Time) {
	for a, k := range x.contacts {
		if now.Sub(k.Time) > contactKept {
			delete(x.grants, k.ConsentID)
			delete(x.contacts, a)
		}
	}
}
