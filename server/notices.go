package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"sluice/consent"
	"sluice/static"
)

// loadPolicies joins each site with its current notice and with the earlier
// ones that live tokens may refer to, kept in path. A notice that was not
// served before is added to the file first: a token must never refer to one
// that a restart forgets.
func loadPolicies(sites []*consent.Site, path string, now time.Time) ([]*consent.Policy, error) {
	history, err := readNotices(path)
	if err != nil {
		return nil, err
	}
	policies := make([]*consent.Policy, 0, len(sites))
	added := false
	for _, s := range sites {
		current, err := consent.NewNotice(s, words)
		if err != nil {
			return nil, err
		}
		known := slices.IndexFunc(history, func(n *consent.Notice) bool {
			return n.Site == current.Site && n.Fingerprint == current.Fingerprint
		})
		switch {
		case known < 0:
			current.Since = now.UTC().Truncate(time.Second)
			history = append(history, current)
			added = true
		case history[known].Hash != current.Hash: // one in four billion
			return nil, fmt.Errorf("site %s: the notice has the fingerprint of an earlier one with other content; change notice.version", s.Domain)
		default:
			current = history[known]
		}
		policies = append(policies, consent.NewPolicy(s, current, history))
	}
	if added {
		data, err := json.MarshalIndent(history, "", " ")
		if err != nil {
			return nil, fmt.Errorf("encode notices: %w", err)
		}
		if err := consent.WriteFile(path, append(data, '\n'), 0o600); err != nil {
			return nil, fmt.Errorf("save notices: %w", err)
		}
	}
	return policies, nil
}

func readNotices(path string) ([]*consent.Notice, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read notices: %w", err)
	}
	var history []*consent.Notice
	if err := json.Unmarshal(data, &history); err != nil {
		return nil, fmt.Errorf("%s is damaged (%w); without it visitors have to be asked again: restore it from a backup, or move it away", path, err)
	}
	return history, nil
}

// words are a purpose's in the reference language, English: they are part of
// what visitors agree to.
func words(p consent.Purpose) (title, description string) {
	texts, _ := static.Texts("en")
	return texts["purpose."+string(p)+".title"], texts["purpose."+string(p)+".description"]
}
