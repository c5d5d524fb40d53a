package consent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// LoadNotices reads the notices that SaveNotices wrote to path
// (data_dir/notices.json). Where there is no file there are none.
func LoadNotices(path string) ([]*Notice, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("load notices: %w", err)
	}
	var history []*Notice
	if err := json.Unmarshal(data, &history); err != nil {
		return nil, fmt.Errorf("%s is damaged (%w); without it every visitor has to be asked again: restore it from a backup, or move it away", path, err)
	}
	for _, n := range history {
		if n == nil || n.Fingerprint == 0 {
			return nil, fmt.Errorf("%s is damaged: it holds a notice without a fingerprint; restore it from a backup, or move it away", path)
		}
	}
	return history, nil
}

// SaveNotices replaces path with history, whole or not at all.
func SaveNotices(path string, history []*Notice) error {
	data, err := json.MarshalIndent(history, "", " ")
	if err != nil {
		return fmt.Errorf("encode notices: %w", err)
	}
	if err := WriteFile(path, append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("save notices: %w", err)
	}
	return nil
}

// Remember returns the notices to keep once current is what its site asks:
// current last, earlier ones of the site marked as replaced, and those left
// out that no token can refer to any more. The notices of other sites are
// handed on. changed says that the result has to be saved before current is
// served: a token must never refer to a notice that a restart forgets. Error:
// an earlier notice has the same fingerprint and other content, one chance in
// four billion.
func Remember(history []*Notice, current *Notice, now time.Time) (kept []*Notice, changed bool, err error) {
	now = now.UTC().Truncate(time.Second)
	in := *current
	in.Since, in.Until = now, time.Time{}
	served := false // current, when history was saved
	for _, n := range history {
		same := n.Fingerprint == current.Fingerprint
		switch {
		case n.Site != current.Site:
			kept = append(kept, n)
		case same && n.Hash != current.Hash:
			return nil, false, fmt.Errorf("site %s: the notice has the fingerprint of an earlier one with other content; change notice.version", n.Site)
		case same:
			in.Since, served = n.Since, n.Until.IsZero()
		case n.Until.IsZero():
			replaced := *n
			replaced.Until = now
			kept, changed = append(kept, &replaced), true
		case now.Sub(n.Until) <= days(MaxConsentDays):
			kept = append(kept, n)
		default:
			changed = true
		}
	}
	return append(kept, &in), changed || !served, nil
}
