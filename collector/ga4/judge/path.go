package judge

import "strconv"

// path is where a value stands in a body; an empty one is the root. It is
// written out only for a complaint, and most requests give cause for none.
//
// The paths of what stands in one place share memory with its own, one after
// the other: a path is for the call that it is given to, and is not kept.
type path []step

type step struct {
	name string // of a field
	item int    // of a list, counted from 1; 0: this is a field
}

// newPath is the root, with room for those of most bodies.
func newPath() path { return make(path, 0, 8) }

// field is the path of what stands under a name there.
func (p path) field(name string) path { return append(p, step{name: name}) }

// at is the path of the ith of a list there.
func (p path) at(i int) path { return append(p, step{item: i + 1}) }

// String is the path as Google's messages have it: events[0].params.value.
func (p path) String() string {
	var out []byte
	for i, s := range p {
		switch {
		case s.item > 0:
			out = append(strconv.AppendInt(append(out, '['), int64(s.item-1), 10), ']')
		case i > 0:
			out = append(append(out, '.'), s.name...)
		default:
			out = append(out, s.name...)
		}
	}
	return string(out)
}
