package doctor

import (
	"net/http"
	"net/url"
	"testing"

	"sluice/consent"
)

func at(t *testing.T, page, base string) *examination {
	t.Helper()
	e := &examination{report: &Report{}}
	var err error
	if e.page, err = url.Parse(page); err != nil {
		t.Fatal(err)
	}
	if e.base, err = url.Parse(base); err != nil {
		t.Fatal(err)
	}
	return e
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	const page, doors = "https://example.com/", "https://example.com/_s/"
	nonce := &element{attrs: map[string]string{"nonce": "abc"}}
	for name, c := range map[string]struct {
		policy, doors string
		tag           *element
		wrong         int
	}{
		"none":                       {"", doors, nil, 0},
		"self":                       {"default-src 'self'", doors, nil, 0},
		"nothing at all":             {"default-src 'none'", doors, nil, 2},
		"scripts alone":              {"default-src 'none'; script-src 'self'", doors, nil, 1},
		"elements before scripts":    {"script-src 'none'; script-src-elem 'self'; connect-src 'self'", doors, nil, 0},
		"of no matter":               {"img-src 'none'; style-src 'none'", doors, nil, 0},
		"any":                        {"script-src *; connect-src https:", doors, nil, 0},
		"by host":                    {"default-src example.com", doors, nil, 0},
		"by path":                    {"default-src https://example.com/_s/", doors, nil, 0},
		"by another path":            {"default-src https://example.com/js/", doors, nil, 2},
		"another port":               {"default-src https://example.com:8443", doors, nil, 2},
		"the usual port":             {"default-src https://example.com:443", doors, nil, 0},
		"the usual port, of doors":   {"default-src 'self'", "https://example.com:443/_s/", nil, 0},
		"any port":                   {"default-src https://example.com:*", "https://example.com:8443/_s/", nil, 0},
		"its port":                   {"default-src example.com:8443", "https://example.com:8443/_s/", nil, 0},
		"no port, doors at one":      {"default-src https://example.com", "https://example.com:8443/_s/", nil, 2},
		"self, doors at a port":      {"default-src 'self'", "https://example.com:8443/_s/", nil, 2},
		"port 80 by https":           {"default-src http://example.com:80", doors, nil, 2},
		"in the clear, by https":     {"default-src http://example.com", doors, nil, 0},
		"by a path that is a file":   {"default-src https://example.com/_s", doors, nil, 2},
		"by one script":              {"script-src https://example.com/_s/s.js; connect-src 'self'", doors, nil, 1},
		"by the root":                {"default-src https://example.com/", doors, nil, 0},
		"by half a name":             {"default-src https://example.com/_", doors, nil, 2},
		"by a path, escaped":         {"default-src https://EXAMPLE.com/%5Fs/", doors, nil, 0},
		"by a path in capitals":      {"default-src https://example.com/_S/", doors, nil, 2},
		"any host":                   {"default-src https://*:443", doors, nil, 0},
		"below, not the name itself": {"default-src https://*.example.com", doors, nil, 2},
		"self, doors elsewhere":      {"default-src 'self'", "https://stats.example.com/_s/", nil, 2},
		"below, doors elsewhere":     {"default-src https://*.example.com", "https://stats.example.com/_s/", nil, 0},
		"nonce, which hands nothing": {"script-src 'nonce-abc'; connect-src 'self'", doors, nonce, 1},
		"nonce, strict-dynamic":      {"script-src 'nonce-abc' 'strict-dynamic'; connect-src 'self'", doors, nonce, 0},
		"self under strict-dynamic":  {"script-src 'self' 'strict-dynamic'; connect-src 'self'", doors, nil, 1},
		"two policies":               {"script-src 'self', connect-src 'none'", doors, nil, 1},
		"trusted types":              {"require-trusted-types-for 'script'; trusted-types other", doors, nil, 1},
		"trusted types, any":         {"require-trusted-types-for 'script'", doors, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := at(t, page, c.doors)
			h := http.Header{}
			if c.policy != "" {
				h.Set("Content-Security-Policy", c.policy)
			}
			e.examinePolicy(h, nil, c.tag)
			wrong := 0
			for _, f := range e.report.Findings {
				if f.State == Wrong {
					wrong++
				}
			}
			if wrong != c.wrong || wrong == 0 && len(e.report.Findings) != 1 {
				t.Errorf("%d wrong, want %d: %+v", wrong, c.wrong, e.report.Findings)
			}
		})
	}
}

func TestUnmarked(t *testing.T) {
	t.Parallel()
	presets, err := consent.Presets()
	if err != nil {
		t.Fatal(err)
	}
	delete(presets, consent.Statistics)
	var services []consent.Service
	for _, s := range presets {
		services = append(services, s)
	}
	for name, c := range map[string]struct{ page, want string }{
		"gtag":         {`<script async src="https://www.googletagmanager.com/gtag/js?id=G-1"></script>`, "Google Analytics"},
		"ads":          {`<script async src="https://www.googletagmanager.com/gtag/js?id=AW-1"></script>`, "Google Ads"},
		"gtm, inline":  {`<script>(function(w,d){f.src='https://www.googletagmanager.com/gtm.js?id='+i})(window,document)</script>`, "Google Tag Manager"},
		"scheme-less":  {`<script src="//static.hotjar.com/c/hotjar-1.js"></script>`, "Hotjar"},
		"image":        {`<img src="https://www.facebook.com/tr?id=1">`, "Meta pixel"},
		"font":         {`<link rel="stylesheet" href="https://fonts.googleapis.com/css2?family=X">`, "Google Fonts"},
		"preconnect":   {`<link rel="preconnect" href="https://fonts.gstatic.com">`, "Google Fonts"},
		"marked":       {`<script type="text/plain" data-service="hotjar" data-src="https://static.hotjar.com/x.js"></script><iframe data-service="youtube" data-src="https://www.youtube.com/embed/x"></iframe>`, ""},
		"a mere link":  {`<a href="https://www.youtube.com/x">watch</a><link rel="canonical" href="https://www.youtube.com/x">`, ""},
		"essential":    {`<script src="https://js.stripe.com/v3/"></script>`, ""},
		"one's own":    {`<script src="https://cdn.example.com/app.js"></script><img src="/a.png">`, ""},
		"in a text":    {`<script>const about = "we do not use nothotjar.com or hotjar.community"</script>`, ""},
		"in a comment": {`<!-- <script src="https://static.hotjar.com/x.js"></script> -->`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := at(t, "https://www.example.com/", "https://www.example.com/_s/")
			e.Services = services
			e.examineUnmarked(parse([]byte(c.page)))
			var wrong []Finding
			for _, f := range e.report.Findings {
				if f.State == Wrong {
					wrong = append(wrong, f)
				}
			}
			if (c.want == "") != (len(wrong) == 0) || len(wrong) > 1 || c.want != "" && (len(wrong[0].Says) < len(c.want) || wrong[0].Says[:len(c.want)] != c.want) {
				t.Errorf("found %+v, want %q", wrong, c.want)
			}
		})
	}
}
