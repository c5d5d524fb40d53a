package store

// Halve has batches go in as two halves from so many rows on.
func (s *Store) Halve(rows int) { s.halve = rows }
