package dashboards

import (
	"time"

	"sluice/dashboards/query"
)

// midnight is the first moment of a day of the site's calendar, which is not
// 00:00 where clocks skip that. Days and months out of range carry over.
func midnight(year int, month time.Month, day int, zone *time.Location) time.Time {
	of, _ := query.Named(query.PeriodDay, zone, time.Date(year, month, day, 12, 0, 0, 0, zone), time.Time{})
	return of.From
}
