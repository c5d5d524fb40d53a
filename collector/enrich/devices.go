package enrich

import "sync"

// Devices remembers what the last few thousand agents were read as. Two
// generations stand in for a list ordered by use: what is asked for moves to
// the young one, and when that is full the old one is dropped. It is safe for
// concurrent use.
type Devices struct {
	mu         sync.RWMutex
	young, old map[Agent]Device
	limit      int
}

// NewDevices returns a memory of at most 2 × limit agents, about 1 KiB each.
func NewDevices(limit int) *Devices {
	return &Devices{young: map[Agent]Device{}, limit: max(limit, 1)}
}

// Read returns a's device.
func (m *Devices) Read(a Agent) Device {
	m.mu.RLock()
	d, young := m.young[a]
	old := false
	if !young {
		d, old = m.old[a]
	}
	m.mu.RUnlock()
	if young {
		return d
	}
	if !old {
		d = a.Device()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.young) >= m.limit {
		m.old, m.young = m.young, make(map[Agent]Device, m.limit)
	}
	m.young[a] = d
	return d
}
