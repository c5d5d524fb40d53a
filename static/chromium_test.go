package static_test

import (
	"context"
	"os"
	"testing"

	"sluice/static/browsertest"
)

func TestMain(m *testing.M) { os.Exit(browsertest.Main(m)) }

// A tab shows pages of a door.
type tab struct {
	*browsertest.Tab
	*door
}

// open shows a page of the door to a new visitor, or beside another tab.
func (d *door) open(page string, beside ...*tab) *tab {
	d.t.Helper()
	var tabs []*browsertest.Tab
	for _, b := range beside {
		tabs = append(tabs, b.Tab)
	}
	b := &tab{browsertest.Open(d.t, tabs...), d}
	b.Visit(d.URL + page)
	return b
}

// eval runs an expression in the page.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	return browsertest.Eval[T](b.Tab, expression)
}

type hitKey struct{}

func withHit(ctx context.Context, h hit) context.Context { return context.WithValue(ctx, hitKey{}, h) }

func hitOf(ctx context.Context) hit {
	h, _ := ctx.Value(hitKey{}).(hit)
	return h
}
