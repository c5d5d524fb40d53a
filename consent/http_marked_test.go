package consent

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGetMarked(t *testing.T) {
	t.Parallel()
	site := shop()
	site.Services[slices.IndexFunc(site.Services, func(s Service) bool { return s.Name == "hotjar" })].Reload = true
	d := newDoors(t, site)
	w := d.send(d.handler.GetMarked, "GET", "/_s/m?site=example.com&lang=de-AT", "")
	if w.Code != 200 || w.Header().Get("Cache-Control") != "private, no-store" {
		t.Fatalf("%d, cached %q: %s", w.Code, w.Header().Get("Cache-Control"), w.Body)
	}
	var got markedData
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	words := shippedWords(t, "de")
	if got.Language != "de" || got.Direction != "ltr" || got.Notice != "2025-07" || got.Texts["always"] != words["frame.always"] || got.Texts["once"] == "" {
		t.Errorf("marked elements in German: %+v", got)
	}
	if got.Purposes[Analytics] != words["purpose.analytics.title"] || got.Purposes[Essential] != "" {
		t.Errorf("purposes: %v", got.Purposes)
	}
	want := markedFacts{Title: "Hotjar", Provider: "Hotjar Ltd", Purpose: Analytics, Reload: true}
	if diff := cmp.Diff(want, got.Services["hotjar"]); diff != "" {
		t.Errorf("hotjar (-want +got):\n%s", diff)
	}
	if got, there := got.Services["stripe"]; there {
		t.Errorf("an essential service is among those to choose: %+v", got)
	}
	if d.send(d.handler.GetMarked, "GET", "/_s/m?site=elsewhere.example", ""); !errors.Is(d.error, ErrUnknownSite) {
		t.Errorf("an unknown site: %v", d.error)
	}
}
