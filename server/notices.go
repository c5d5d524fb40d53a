package server

import (
	"fmt"
	"time"

	"sluice/consent"
	"sluice/static"
)

// loadPolicies joins each site with its current notice and with the earlier
// ones that live tokens may refer to. The notices are kept in path, which is
// written before any of them is served: a token must never refer to one that a
// restart forgets.
func loadPolicies(sites []*consent.Site, path string, now time.Time) ([]*consent.Policy, error) {
	history, err := consent.LoadNotices(path)
	if err != nil {
		return nil, err
	}
	var changed bool
	current := make([]*consent.Notice, len(sites))
	for i, s := range sites {
		if current[i], err = consent.NewNotice(s, words); err != nil {
			return nil, fmt.Errorf("notice of %s: %w", s.Domain, err)
		}
		var added bool
		if history, added, err = consent.Remember(history, current[i], now); err != nil {
			return nil, err
		}
		changed = changed || added
		current[i] = history[len(history)-1]
	}
	if changed {
		if err := consent.SaveNotices(path, history); err != nil {
			return nil, err
		}
	}
	policies := make([]*consent.Policy, len(sites))
	for i, s := range sites {
		policies[i] = consent.NewPolicy(s, current[i], history)
	}
	return policies, nil
}

// words are a purpose's in the reference language, English: they are part of
// what visitors agree to.
func words(p consent.Purpose) (title, description string) {
	texts, _ := static.Texts("en")
	return texts["purpose."+string(p)+".title"], texts["purpose."+string(p)+".description"]
}
