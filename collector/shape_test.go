package collector

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/collector/enrich"
)

// TestShapeMasks: what nobody meant to send is in no place of an event that
// people can write into.
func TestShapeMasks(t *testing.T) {
	t.Parallel()
	rules, err := enrich.NewRules(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	w := wireEvent{
		name: "from ada@example.org", url: "https://example.com/größe/a", title: "ada@münchen.de",
		props: []Prop{{"plan", "pro"}, {"mail of ada@example.org", "1"}}, items: `[{"item_id":"a","ada@example.org":1}]`,
	}
	s, problem := w.shape(&tidied{rules: rules})
	if problem != "" {
		t.Fatal(problem)
	}
	got := Event{Name: s.event.Name, Path: s.address.Path, Title: s.event.Title, Props: s.event.Props, Items: s.event.Items}
	want := Event{
		Name: "from *email*", Path: "/gr%C3%B6%C3%9Fe/a", Title: "*email*",
		Props: []Prop{{"mail of *email*", "1"}, {"plan", "pro"}}, Items: `[{"*email*":1,"item_id":"a"}]`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
