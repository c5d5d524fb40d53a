package server

import (
	"fmt"
	"os"

	"sluice/collector/enrich"
)

// openBots opens the lists by which programs are told from visitors; nil where
// none is configured.
func (m *machine) openBots() (hosting *enrich.Hosting, spammers *enrich.Spammers, err error) {
	if path := m.config.Bots.DataCentres; path != "" {
		if hosting, err = enrich.OpenHosting(path); err != nil {
			return nil, nil, fmt.Errorf("bots.data_centres: %w", err)
		}
		m.opened = append(m.opened, hosting.Close)
	}
	if path := m.config.Bots.Referrers; path != "" {
		f, err := os.Open(path)
		if err != nil {
			return nil, nil, fmt.Errorf("bots.referrers: %w", err)
		}
		defer f.Close()
		if spammers, err = enrich.ReadSpammers(f); err != nil {
			return nil, nil, fmt.Errorf("bots.referrers: %s: %w", path, err)
		}
	}
	return hosting, spammers, nil
}
