package dashboards

import (
	"time"
)

// Account is what became of events that were received.
type Account struct {
	Received, Stored, Dead, Waiting uint64
	Refused                         map[string]uint64 // by reason
	Unaccounted                     int64             // received − all of these
}

// Minute is the account of one minute.
type Minute struct {
	Start time.Time
	Account
}

// Balance is a site's account since the server started. It is kept by the
// server itself, whatever the period that a page shows.
type Balance struct {
	Since   time.Time
	Total   Account
	Carried uint64   // waiting, from before the start
	Minutes []Minute // with traffic, in order
}

// Accounts is the panel about where events went.
type Accounts struct {
	Since                              string
	Received, Stored, Refused, Waiting string
	Dead                               string // "" for none
	Unaccounted                        string // "0", or how many are missing
	Even                               bool
	Reasons                            []Line
	Minutes                            []MinuteLine // the last ones, the newest first
}

// MinuteLine is a minute as the panel's table shows it.
type MinuteLine struct {
	Time, Received, Stored, Refused, Waiting, Unaccounted string
}

// shownMinutes is how many minutes the panel lists.
const shownMinutes = 60

func (a Account) refused() (n uint64) {
	for _, of := range a.Refused {
		n += of
	}
	return n
}

// accounts writes a balance down; nil where nobody keeps one. Small counts are
// told as such, but never that something is missing.
func accounts(b *Balance, zone *time.Location) *Accounts {
	if b == nil {
		return nil
	}
	all, refused := b.Total, b.Total.refused()
	out := &Accounts{
		Since:    b.Since.In(zone).Format("2 January, 15:04"),
		Received: total(all.Received, all.Stored, refused, all.Waiting, all.Dead), Stored: atLeast(all.Stored), Refused: atLeast(refused),
		Waiting: atLeast(all.Waiting + b.Carried), Unaccounted: thousands(float64(all.Unaccounted)), Even: all.Unaccounted == 0,
		Reasons: cells(all.Refused, reasonName),
	}
	if all.Dead > 0 {
		out.Dead = atLeast(all.Dead)
	}
	for i := len(b.Minutes) - 1; i >= max(0, len(b.Minutes)-shownMinutes); i-- {
		m := b.Minutes[i]
		stored, refused := m.Stored+m.Dead, m.refused()
		out.Minutes = append(out.Minutes, MinuteLine{
			Time: m.Start.In(zone).Format("2 Jan 15:04"), Received: total(m.Received, stored, refused, m.Waiting), Stored: atLeast(stored),
			Refused: atLeast(refused), Waiting: atLeast(m.Waiting), Unaccounted: thousands(float64(m.Unaccounted)),
		})
	}
	return out
}
