package consent

import (
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

// book is a house with somebody's number.
type book struct {
	*house
	ada AddressKey
}

func newBook(t *testing.T) *book {
	t.Helper()
	a, err := NewAddresses(testKey(7))
	if err != nil {
		t.Fatal(err)
	}
	return &book{newHouse(t), a.Key("example.com", WhatsApp, "+14155238886")}
}

func (b *book) optIn(t *testing.T) Contact {
	t.Helper()
	c, _, err := b.OptIn(t.Context(), b.policy, OptIn{Channel: WhatsApp, Address: b.ada})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (b *book) optOut(t *testing.T) error {
	t.Helper()
	_, err := b.OptOut(t.Context(), b.policy, WhatsApp, b.ada)
	return err
}

func (b *book) want(t *testing.T, when string, want Reason, receipts int) {
	t.Helper()
	if got := b.Index.Contact(b.ada).Reason(b.clock.Now()); got != want {
		t.Errorf("%s: %q, want %q", when, got, want)
	}
	if got := len(b.journal.commitments); got != receipts {
		t.Errorf("%s: %d receipts, want %d", when, got, receipts)
	}
}

func TestChannelDecisions(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	b.want(t, "never heard of", NoConsent, 0)
	if err := b.optOut(t); err != nil {
		t.Fatal(err)
	}
	b.want(t, "an objection without a grant", Withdrawn, 1)
	if r := b.journal.last(t).Receipt; r.ConsentID != (ID{}) || r.Method != Withdraw || r.Purposes["whatsapp"] {
		t.Errorf("its receipt: %+v", r)
	}
	b.clock.Add(time.Hour)
	first := b.optIn(t)
	b.want(t, "a grant after it", Live, 2)
	if got := b.Index.ContactOf(first.ConsentID); got == nil || got.Address != b.ada {
		t.Errorf("by its id: %+v", got)
	}
	b.clock.Add(time.Hour)
	for range 3 {
		if err := b.optOut(t); err != nil {
			t.Fatal(err)
		}
	}
	b.want(t, "withdrawn three times", Withdrawn, 3)
	if r := b.journal.last(t).Receipt; r.ConsentID != first.ConsentID {
		t.Errorf("the withdrawal is of consent %s, want %s", r.ConsentID, first.ConsentID)
	}
	if c := b.journal.last(t); !c.Contact.Expires.Equal(first.Expires) || len(c.Counts) != 1 || c.Counts[0].Key != "whatsapp withdrawn" || c.Counts[0].Kind != CountChannel {
		t.Errorf("the withdrawal leaves %+v and counts %+v", c.Contact, c.Counts)
	}
	second := b.optIn(t)
	b.want(t, "granted again", Live, 4)
	if second.ConsentID == first.ConsentID {
		t.Error("the new grant revives the old one's id")
	}
	if c := b.Index.ContactOf(first.ConsentID); c == nil || c.ConsentID != second.ConsentID {
		t.Errorf("the old id leads to %+v", c)
	}
	b.clock.Add(time.Hour)
	if third := b.optIn(t); third.ConsentID != second.ConsentID || third.ReceiptID == second.ReceiptID {
		t.Error("a grant while one is live has another id, or no receipt of its own")
	}
	b.want(t, "granted while it was granted", Live, 5)
	b.clock.Add(days(180) + time.Second)
	b.want(t, "half a year later", Expired, 5)
	for range 2 * maxEarlier {
		b.optIn(t)
		b.clock.Add(days(181))
	}
	if c := b.Index.Contact(b.ada); len(c.Earlier) != maxEarlier || b.Index.ContactOf(first.ConsentID) != nil {
		t.Errorf("%d earlier ids are kept", len(c.Earlier))
	}
}

// TestRefusalWithoutDisk is in force at once, and recorded by whoever comes next.
func TestRefusalWithoutDisk(t *testing.T) {
	t.Parallel()
	for _, again := range []string{"sent again", "granted again", "after a restart"} {
		t.Run(again, func(t *testing.T) {
			t.Parallel()
			b := newBook(t)
			b.optIn(t)
			b.journal.err = ErrUnavailable
			if err := b.optOut(t); !errors.Is(err, ErrUnavailable) {
				t.Fatalf("got %v, want ErrUnavailable", err)
			}
			b.want(t, "refused without disk", Withdrawn, 1)
			if _, _, err := b.OptIn(t.Context(), b.policy, OptIn{Channel: WhatsApp, Address: b.ada}); !errors.Is(err, ErrUnavailable) {
				t.Fatalf("a grant: %v, want ErrUnavailable", err)
			}
			b.want(t, "a grant without disk", Withdrawn, 1)
			b.journal.err = nil
			switch again {
			case "granted again":
				b.optIn(t)
				b.want(t, again, Live, 3)
				if r := b.journal.commitments[1].Receipt; r.Method != Withdraw {
					t.Errorf("between the grants is %s, want the withdrawal", r.Method)
				}
				return
			case "after a restart":
				path := filepath.Join(t.TempDir(), "consent.idx")
				if err := b.Index.Save(path, Position{}); err != nil {
					t.Fatal(err)
				}
				var err error
				if b.Index, _, err = LoadIndex(path); err != nil {
					t.Fatal(err)
				}
				b.journal.index = b.Index
				b.want(t, again, Withdrawn, 1)
			}
			if err := b.optOut(t); err != nil {
				t.Fatal(err)
			}
			b.want(t, again, Withdrawn, 2)
		})
	}
}

// TestChannelDecisionsAtOnce: however grants and refusals of one number mix, who
// was told last that it is withdrawn finds it so.
func TestChannelDecisionsAtOnce(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { _, _, _ = b.OptIn(t.Context(), b.policy, OptIn{Channel: WhatsApp, Address: b.ada}) })
		all.Go(func() { _, _ = b.OptOut(t.Context(), b.policy, WhatsApp, b.ada) })
	}
	all.Wait()
	last := b.journal.last(t).Contact
	if got := b.Index.Contact(b.ada); got.Granted != last.Granted || got.ReceiptID != last.ReceiptID || b.Index.Owed(b.ada) {
		t.Errorf("the index knows %+v, the disk %+v", got, last)
	}
	if err := b.optOut(t); err != nil || b.Index.Contact(b.ada).Granted {
		t.Errorf("after all of them a refusal is not in force: %v", err)
	}
}

func TestContactsInTheIndex(t *testing.T) {
	t.Parallel()
	earlier, later := NewIndex(), NewIndex()
	at := func(n byte, hours int, granted bool) Contact {
		return Contact{
			Address: AddressKey{n}, Site: "example.com", Channel: SMS, ConsentID: uuid.UUID{n, byte(hours)}, ReceiptID: uuid.UUID{n, byte(hours), 1},
			Granted: granted, Time: noon.Add(time.Duration(hours) * time.Hour), Expires: noon.AddDate(1, 0, 0),
		}
	}
	for _, c := range []Contact{at(1, 0, true), at(2, 2, false), at(3, 1, true)} {
		earlier.Meet(c)
	}
	for _, c := range []Contact{at(1, 1, false), at(2, 1, true), at(4, 0, true)} {
		later.Meet(c)
	}
	earlier.Merge(later)
	for n, granted := range map[byte]bool{1: false, 2: false, 3: true, 4: true} {
		if c := earlier.Contact(AddressKey{n}); c == nil || c.Granted != granted {
			t.Errorf("contact %d: %+v, want granted %v", n, c, granted)
		}
	}
	if earlier.ContactOf(uuid.UUID{1, 0}) != nil || earlier.ContactOf(uuid.UUID{1, 1}) == nil {
		t.Error("the ids of grants do not follow the contacts")
	}
	earlier.Refuse(Contact{Address: AddressKey{3}, Time: noon.Add(2 * time.Hour)})
	earlier.Refuse(Contact{Address: AddressKey{9}, Time: noon})
	path := filepath.Join(t.TempDir(), "consent.idx")
	if err := earlier.Save(path, Position{}); err != nil {
		t.Fatal(err)
	}
	back, _, err := LoadIndex(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(earlier.contacts, back.contacts, cmp.AllowUnexported(known{})) + cmp.Diff(earlier.grants, back.grants); diff != "" {
		t.Error(diff)
	}
	for n, owed := range map[byte]bool{1: false, 2: false, 3: true, 4: false, 9: true} {
		if back.Owed(AddressKey{n}) != owed || back.Contact(AddressKey{n}).Granted != (n == 4) {
			t.Errorf("contact %d comes back as %+v", n, back.contacts[AddressKey{n}])
		}
	}
	back.Sweep(noon.Add(contactKept + 90*time.Minute))
	if back.Contacts() != 1 || len(back.grants) != 1 || back.Contact(AddressKey{2}) == nil {
		t.Errorf("after 36 months %d contacts and %d ids are left, want the last one", back.Contacts(), len(back.grants))
	}
	if back.ForgetContacts(); back.Contacts() != 0 || len(back.grants) != 0 {
		t.Error("something is left of contacts that were forgotten")
	}
}

// TestRefusalsInTime: a refusal that is not on disk stands against what was
// granted before it, and against nothing after, in whatever order they are told.
func TestRefusalsInTime(t *testing.T) {
	t.Parallel()
	a := AddressKey{1}
	granted := func(minute int) Contact {
		return Contact{Address: a, ConsentID: uuid.UUID{byte(minute)}, ReceiptID: uuid.UUID{byte(minute)}, Granted: true, Time: noon.Add(time.Duration(minute) * time.Minute), Expires: noon.AddDate(1, 0, 0)}
	}
	refused := func(minute int) Contact {
		c := granted(minute)
		c.Granted = false
		return c
	}
	for name, tt := range map[string]struct {
		steps func(x, later *Index)
		want  Reason
		owed  bool
	}{
		"refused after the grant":    {func(x, _ *Index) { x.Meet(granted(1)); x.Refuse(granted(2)) }, Withdrawn, true},
		"and recorded":               {func(x, _ *Index) { x.Meet(granted(1)); x.Refuse(granted(2)); x.Meet(refused(2)) }, Withdrawn, false},
		"refused while it is given":  {func(x, _ *Index) { x.Refuse(granted(2)); x.Meet(granted(1)) }, Withdrawn, true},
		"granted after the refusal":  {func(x, _ *Index) { x.Refuse(granted(1)); x.Meet(granted(2)) }, Live, false},
		"what came before is told":   {func(x, _ *Index) { x.Meet(granted(3)); x.Refuse(granted(4)); x.Meet(refused(2)); x.Meet(granted(3)) }, Withdrawn, true},
		"refused in a later index":   {func(x, l *Index) { x.Meet(granted(1)); l.Meet(granted(1)); l.Refuse(granted(2)) }, Withdrawn, true},
		"granted in a later index":   {func(x, l *Index) { x.Meet(granted(1)); x.Refuse(granted(2)); l.Meet(granted(3)) }, Live, false},
		"a refusal of the same time": {func(x, l *Index) { x.Meet(granted(1)); l.Meet(refused(1)) }, Withdrawn, false},
		"a grant of the same time":   {func(x, l *Index) { x.Meet(refused(1)); l.Meet(granted(1)) }, Withdrawn, false},
		"a clock that was set back":  {func(x, _ *Index) { x.Meet(granted(5)); x.Refuse(granted(1)) }, Withdrawn, true},
	} {
		x, later := NewIndex(), NewIndex()
		tt.steps(x, later)
		x.Merge(later)
		if got := x.Contact(a).Reason(noon.Add(time.Hour)); got != tt.want || x.Owed(a) != tt.owed {
			t.Errorf("%s: %q, owed %v; want %q, %v", name, got, x.Owed(a), tt.want, tt.owed)
		}
	}
}
