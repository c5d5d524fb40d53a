package consent

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

func TestIndexMerge(t *testing.T) {
	t.Parallel()
	spool := uuid.New()
	at := func(d time.Duration) uint32 { return uint32(noon.Add(d).Unix()) }
	ids := make([]ID, 7)
	for i := range ids {
		ids[i] = ID{byte(i)} // in order
	}
	earlier, later := NewIndex(), NewIndex()
	for _, x := range []*Index{earlier, later} {
		x.Apply(ids[0], &Cut{Latest: at(0), All: Forever})                                   // known already
		x.Apply(ids[1], &Cut{Latest: at(0), Purposes: map[Purpose]uint32{Analytics: at(0)}}) // withdrawn again later
		x.Apply(ids[2], &Cut{Latest: at(0), Services: map[string]uint32{"hotjar": at(0)}})   // not our statistics
		x.Bury(ids[4], spool, 7, noon.Add(time.Hour))                                        // known already
		x.Bury(ids[5], spool, 8, noon.Add(time.Hour))                                        // asked for again later
	}
	earlier.Apply(ids[6], &Cut{Latest: at(0), All: Forever}) // what only the earlier one knows stays
	later.Apply(ids[1], &Cut{Latest: at(time.Hour), Purposes: map[Purpose]uint32{Analytics: at(time.Hour)}})
	later.Apply(ids[2], &Cut{Latest: at(time.Hour), Services: map[string]uint32{"chat": at(time.Hour)}})
	later.Apply(ids[3], &Cut{Latest: at(time.Minute), All: Forever})
	later.Bury(ids[3], spool, 9, noon.Add(time.Hour))
	later.Bury(ids[5], spool, 10, noon.Add(2*time.Hour))

	got := earlier.Merge(later)
	want := []TakenBack{
		{Consent: ids[1], At: noon.Add(time.Hour)},
		{Consent: ids[3], At: noon.Add(time.Minute)},
		{Consent: ids[3], Erasure: true, Spool: spool, Seq: 9},
		{Consent: ids[5], Erasure: true, Spool: spool, Seq: 10},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("taken back (-want +got):\n%s", diff)
	}
	if cut := earlier.Cut(ids[2]); cut.Services["hotjar"] != at(0) || cut.Services["chat"] != at(time.Hour) {
		t.Errorf("cuts are not joined: %+v", cut)
	}
	if earlier.Cut(ids[6]) == nil || earlier.Cut(ids[3]).All != Forever {
		t.Error("a cut is lost")
	}
	if again := earlier.Merge(later); len(again) != 0 {
		t.Errorf("merged once more: %+v, want nothing new", again)
	}

	moved := uuid.New()
	earlier.MoveTo(moved)
	if earlier.Erased(ids[3], moved, 1) || !earlier.Erased(ids[3], spool, 9) {
		t.Error("an erasure that was carried out reaches into the new spool, or not into the old one any more")
	}
	if again := earlier.Merge(later); len(again) != 0 {
		t.Errorf("merged after the move: %+v, want nothing new", again)
	}
}
