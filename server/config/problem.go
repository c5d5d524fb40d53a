package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a configuration, or one thing worth
// knowing about it.
type Problem struct {
	Line, Column int    // 1-based; 0 where the file does not name the place
	Path         string // "sites[1].services[0].purpose"; "" for the file as a whole
	Text         string // what is wrong and what to do about it
}

// String is the problem without its file: "12:5: sites[0].domain: …".
func (p Problem) String() string {
	var b strings.Builder
	if p.Line > 0 {
		fmt.Fprintf(&b, "%d:%d: ", p.Line, p.Column)
	}
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Text)
	return b.String()
}

// Problems is the error of a file that cannot be used: all that is wrong with
// it, in the order of its lines.
type Problems struct {
	File string
	List []Problem
}

func (e *Problems) Error() string {
	var b strings.Builder
	for i, p := range e.List {
		if i > 0 {
			b.WriteByte('\n')
		}
		separator := ": "
		if p.Line > 0 {
			separator = ":"
		}
		b.WriteString(e.File + separator + p.String())
	}
	return b.String()
}

// sorted orders problems by their place in the file; those without one come
// last.
func sorted(list []Problem) []Problem {
	slices.SortStableFunc(list, func(a, b Problem) int {
		if (a.Line == 0) != (b.Line == 0) {
			return cmp.Compare(b.Line, a.Line)
		}
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return list
}
