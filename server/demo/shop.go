package demo

import (
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
)

//go:embed pages
var files embed.FS

// Product is something the shop sells.
type Product struct {
	Slug, Name, Line, Price string
	Cents                   int
	Hue                     int // of its picture, degrees
	Shape                   string
}

// Products is the whole range.
var Products = []Product{
	{"fjord-vase", "Fjord vase", "Stoneware, thrown tall and glazed in winter blue", "48.00", 4800, 212, "M38 14h24l-4 16c14 8 20 22 18 40-1 12-8 20-26 20s-25-8-26-20c-2-18 4-32 18-40z"},
	{"ember-bowl", "Ember bowl", "A wide bowl that keeps the warmth of the kiln", "36.00", 3600, 18, "M12 40h76c0 26-16 44-38 44S12 66 12 40z"},
	{"moss-mug", "Moss mug", "Holds three decilitres and a quiet morning", "22.00", 2200, 128, "M24 28h44v8c14-2 20 6 18 18s-10 18-22 16c-4 10-10 14-18 14-14 0-22-10-22-24zm44 16v16c6 0 9-3 10-8s-3-9-10-8z"},
	{"dune-plate", "Dune plate", "Sand-coloured, with a rim that catches the light", "29.00", 2900, 38, "M6 52c10-12 78-12 88 0-6 18-22 26-44 26S12 70 6 52z"},
}

type page struct {
	Title    string
	Products []Product
	Product  *Product
	Path     string
	Features []Feature
	Feature  *Feature
	Style    string // the feature's style sheet, to be read
}

// Shop answers for the shop's pages and hands everything below /_s on to
// Sluice at the given address, as a site's own web server would: prefix kept,
// the visitor's address in X-Forwarded-For. mill is the origin of Mill.
func Shop(sluice *url.URL, mill string) (http.Handler, error) {
	tmpl, err := template.ParseFS(files, "pages/*.html")
	if err != nil {
		return nil, fmt.Errorf("parse the shop's pages: %w", err)
	}
	mux := http.NewServeMux()
	render := func(name, title string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			p := page{Title: title, Products: Products, Path: r.URL.Path, Features: features(mill)}
			if !p.choose(r.PathValue("slug"), r.PathValue("feature")) {
				http.NotFound(w, r)
				return
			}
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Header().Set("Content-Security-Policy", policy(mill))
			if err := tmpl.ExecuteTemplate(w, name, p); err != nil {
				http.Error(w, "this page cannot be shown", http.StatusInternalServerError)
			}
		}
	}
	mux.Handle("GET /{$}", render("home.html", "Kiln & Cove, ceramics"))
	mux.Handle("GET /product/{slug}", render("product.html", ""))
	mux.Handle("GET /cart", render("cart.html", "Your cart"))
	mux.Handle("GET /checkout", render("checkout.html", "Checkout"))
	mux.Handle("GET /thanks", render("thanks.html", "Thank you"))
	mux.Handle("GET /developers", render("developers.html", "For developers"))
	mux.Handle("GET /developers/{feature}", render("feature.html", ""))
	for _, name := range []string{"shop.css", "shop.js", "look.css", "icon.svg"} {
		mux.HandleFunc("GET /"+name, func(w http.ResponseWriter, r *http.Request) {
			http.ServeFileFS(w, r, files, "pages/"+name)
		})
	}
	mux.Handle("/_s/", &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		p.SetURL(sluice)
		p.Out.Host = p.In.Host
		p.SetXForwarded()
	}})
	return mux, nil
}

// choose fills in the product or the feature that the path names; false where
// there is none of this name.
func (p *page) choose(product, feature string) bool {
	for i := range Products {
		if Products[i].Slug == product {
			p.Product, p.Title = &Products[i], Products[i].Name
		}
	}
	for i := range p.Features {
		if f := &p.Features[i]; f.Slug == feature {
			p.Feature, p.Title = f, f.Title
		}
	}
	if p.Feature != nil && p.Feature.Sheet != "" {
		style, err := files.ReadFile("pages/" + p.Feature.Sheet)
		if err != nil {
			return false
		}
		p.Style = strings.TrimSpace(string(style))
	}
	return (product == "" || p.Product != nil) && (feature == "" || p.Feature != nil)
}

// Paths lists the shop's pages, for the history.
func Paths() (product []string) {
	for _, p := range Products {
		product = append(product, "/product/"+p.Slug)
	}
	return product
}

// titleOf is the title of the page at path.
func titleOf(path string) string {
	for _, p := range Products {
		if strings.HasSuffix(path, p.Slug) {
			return p.Name
		}
	}
	switch path {
	case "/cart":
		return "Your cart"
	case "/checkout":
		return "Checkout"
	case "/thanks":
		return "Thank you"
	}
	return "Kiln & Cove, ceramics"
}
