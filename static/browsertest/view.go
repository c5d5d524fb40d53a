package browsertest

import (
	"context"
	"errors"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// View is how a visitor looks at a page. The zero value of a field leaves it as
// it is.
type View struct {
	Width, Height int64             // of the window in CSS pixels: 320 by 256 is 1280 by 1024 at 400 %
	Media         map[string]string // features: prefers-color-scheme, prefers-reduced-motion, forced-colors
}

// Look emulates a view from now on.
func (b *Tab) Look(v View) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, Patience)
	defer cancel()
	var errs []error
	if v.Width > 0 {
		_, err := chromedp.Call(ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
			Width: v.Width, Height: v.Height, DeviceScaleFactor: 1,
		})
		errs = append(errs, err)
	}
	if v.Media != nil {
		var media emulation.SetEmulatedMediaParams
		for name, value := range v.Media {
			media.Features = append(media.Features, &emulation.MediaFeature{Name: name, Value: value})
		}
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, media)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		b.t.Fatal(err)
	}
}

// Press presses keys one after the other: kb.Tab, kb.Enter, " ".
func (b *Tab) Press(keys ...string) {
	b.t.Helper()
	for _, key := range keys {
		b.Do(chromedp.KeyEvent(key))
	}
}

// Back presses Tab with Shift.
func (b *Tab) Back() {
	b.t.Helper()
	b.Do(chromedp.KeyEvent(kb.Tab, chromedp.KeyModifiers(8)))
}

// Screenshot returns what is to be seen, as PNG.
func (b *Tab) Screenshot() []byte {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, Patience)
	defer cancel()
	got, err := chromedp.Call(ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{})
	if err != nil {
		b.t.Fatal(err)
	}
	return got.Data
}

// Rested waits until no animation of the banner runs.
func (b *Tab) Rested() {
	b.t.Helper()
	b.Run(`Promise.all($$('section, dialog, output').flatMap((e) => e.getAnimations()).map((a) => a.finished))`)
}
