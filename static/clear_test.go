package static_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestClear withdraws on a page two folders deep, after a service has left
// cookies at several paths, and storage.
func TestClear(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	b := d.open("/deep/er/plain.html")
	b.Asked()
	b.Click("Accept all", "section")
	b.Gone()
	b.Run(`(() => {
		for (const path of ['/', '/deep', '/deep/er/', '/deep/er/plain.html']) document.cookie = '_hjSession_1=x;path=' + path;
		document.cookie = '_hjSessionUser_1=x';
		document.cookie = 'cart=full;path=/';
		for (const s of [localStorage, sessionStorage]) {
			s.setItem('_hjSession_2', 'x');
			s.setItem('basket', 'y');
		}
	})()`)
	b.withdraw()
	b.Gone()
	b.Until(`!document.cookie.includes('_hj')`)
	got := eval[[]any](b, `[document.cookie.replace(/sl_choice=[^;]*/, 'choice').split('; ').sort(), Object.keys(localStorage), Object.keys(sessionStorage)]`)
	want := []any{[]any{"cart=full", "choice"}, []any{"basket"}, []any{"basket"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what the browser still holds (-want +got):\n%s", diff)
	}
}
