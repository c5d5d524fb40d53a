package inbound

import "sync"

// maxSeen is how many messages are remembered: a day of more than any site
// gets, in some 2 MB.
const maxSeen = 20_000

// seen remembers the last messages that were heeded.
type seen struct {
	mu   sync.Mutex
	ids  map[[2]string]bool
	ring [][2]string
	next int
}

func seenKey(provider, id string) [2]string { return [2]string{provider, id[:min(len(id), 128)]} }

func (s *seen) has(provider, id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ids[seenKey(provider, id)]
}

func (s *seen) add(provider, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := seenKey(provider, id)
	if s.ids == nil {
		s.ids = map[[2]string]bool{}
	}
	if s.ids[key] {
		return
	}
	if len(s.ring) < maxSeen {
		s.ring = append(s.ring, key)
	} else {
		delete(s.ids, s.ring[s.next])
		s.ring[s.next] = key
		s.next = (s.next + 1) % maxSeen
	}
	s.ids[key] = true
}
