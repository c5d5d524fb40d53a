package config

import (
	"net/netip"
	"slices"
)

// Config is the whole file. Comments on fields are written for the operator;
// docs/configuration.md is made of the same words.
type Config struct {
	Server     Server     `yaml:"server"`
	DataDir    string     `yaml:"data_dir"` // spool, keys, consent index and the embedded engine; one server each
	ClickHouse ClickHouse `yaml:"clickhouse"`
	Spool      Spool      `yaml:"spool"`
	Keys       Keys       `yaml:"keys"`
	Limits     Limits     `yaml:"limits"`
	Geo        Geo        `yaml:"geo"`
	Bots       Bots       `yaml:"bots"`
	Retention  Retention  `yaml:"retention"`
	Backup     Backup     `yaml:"backup"`
	Sites      []Site     `yaml:"sites"`
	Users      []User     `yaml:"users"`
	APIKeys    []APIKey   `yaml:"api_keys"`
	Hooks      Hooks      `yaml:"hooks"`
	Mail       Mail       `yaml:"mail"`

	places map[string]place // where the file names each path
}

// Server says where Sluice listens and whom it believes.
type Server struct {
	Listen         string    `yaml:"listen"`          // host:port, or unix:/path
	ListenMode     Mode      `yaml:"listen_mode"`     // of the sockets of listen and metrics_listen; who may write to one is believed
	BasePath       string    `yaml:"base_path"`       // of the doors that browsers reach through a site
	PublicURL      string    `yaml:"public_url"`      // where people open the dashboards; links in e-mails
	TrustedProxies []Network `yaml:"trusted_proxies"` // whose X-Forwarded-For, -Host and -Proto are believed; nobody else's
	Proxies        []Proxy   `yaml:"proxies"`         // trusted by their Sluice-Proxy header, whatever their address
	TLS            TLS       `yaml:"tls"`
	MetricsListen  string    `yaml:"metrics_listen"` // Prometheus and health; "" turns it off; never on the public listener
}

// Proxy is a proxy without a fixed address.
type Proxy struct {
	Name           string `yaml:"name"`
	Secret         Secret `yaml:"secret"`           // sent as `Sluice-Proxy: SECRET`; at least 16 characters
	ClientIPHeader string `yaml:"client_ip_header"` // "" means X-Forwarded-For
}

// TLS asks for certificates from ACME.
type TLS struct {
	Domains   []string `yaml:"domains"`   // none: plain HTTP, TLS ends in the proxy before
	Email     string   `yaml:"email"`     // of the account
	Directory string   `yaml:"directory"` // of the authority; "" is Let's Encrypt's
}

// ClickHouse says where rows go.
type ClickHouse struct {
	URL       Secret `yaml:"url"`        // "embedded", clickhouse://user:pass@host:9000/sluice, http(s)://…; several hosts: commas
	Cluster   string `yaml:"cluster"`    // Replicated tables, Distributed on top, DDL ON CLUSTER
	MaxMemory Size   `yaml:"max_memory"` // of the embedded engine
}

// Embedded reports whether Sluice runs ClickHouse itself.
func (c ClickHouse) Embedded() bool { return c.URL == "embedded" }

// Spool bounds what waits on disk.
type Spool struct {
	Max Size `yaml:"max"` // then 503 with Retry-After
}

// Keys are drawn into data_dir at the first start where they are left out.
type Keys struct {
	Token []Secret `yaml:"token"` // base64, 32 bytes; the first signs, all verify
	Phone Secret   `yaml:"phone"` // base64, 32 bytes; hashes phone numbers
}

// Limits bounds what one prefix (a /24 or a /64) and one site may send.
type Limits struct {
	PerPrefix Rate `yaml:"per_prefix"` // 0: none
	Burst     int  `yaml:"burst"`
	PerSite   Rate `yaml:"per_site"` // 0: none
}

// Geo names the country database.
type Geo struct {
	Database string `yaml:"database"` // an .mmdb; "" takes the installed default where present
}

// Bots names lists by which programs are told from visitors, beside those that
// Sluice has itself.
type Bots struct {
	DataCentres string `yaml:"data_centres"` // an .mmdb of networks (ASN) or anonymous addresses; "": data centres are not known
	Referrers   string `yaml:"referrers"`    // hosts of referrer spammers, one a line
}

// Retention says how long rows are kept; 36 months is the ceiling of each.
type Retention struct {
	Events   Period `yaml:"events"`
	Receipts Period `yaml:"receipts"`
	Forwards Period `yaml:"forwards"`
	Counters Period `yaml:"counters"`
}

// Backup says who can read archives, and how buckets are reached.
type Backup struct {
	Recipients    []string `yaml:"recipients"`     // age1…; archives are encrypted to all of them, none: to nobody
	BeforeUpgrade bool     `yaml:"before_upgrade"` // an archive in data_dir/backups before a new version changes tables
	S3            S3       `yaml:"s3"`
}

// S3 is where s3://BUCKET/… is.
type S3 struct {
	Endpoint  string `yaml:"endpoint"` // "" means Amazon's of the region
	Region    string `yaml:"region"`
	AccessKey string `yaml:"access_key"`
	SecretKey Secret `yaml:"secret_key"`
}

// Site is one website.
type Site struct {
	Domain       string     `yaml:"domain"`     // its subdomains belong to it; the longest matching domain wins
	PublicURL    string     `yaml:"public_url"` // where this site mounts Sluice; default https://DOMAIN + base_path
	TestHosts    []string   `yaml:"test_hosts"` // full behaviour, rows marked test, shown apart, never forwarded, kept 7 days
	Timezone     string     `yaml:"timezone"`   // IANA name
	Controller   Controller `yaml:"controller"`
	Notice       Notice     `yaml:"notice"`
	ConsentDays  int        `yaml:"consent_days"`  // how long a choice holds
	OnWithdrawal string     `yaml:"on_withdrawal"` // anonymise or erase
	Purposes     []Purpose  `yaml:"purposes"`
	Services     []Service  `yaml:"services"`
	Banner       Banner     `yaml:"banner"`
	Signals      Signals    `yaml:"signals"`
	Retention    Retention  `yaml:"retention"` // a period that is left out is the one of all sites
	Goals        []Goal     `yaml:"goals"`
	Funnels      []Funnel   `yaml:"funnels"`
	KeepQuery    []string   `yaml:"keep_query"` // query parameters that are part of a page's path; no other is stored
	Mask         []string   `yaml:"mask"`       // patterns of what is masked in addresses, titles and properties, beside e-mail addresses, numbers and tokens
	Exclude      Exclude    `yaml:"exclude"`
	Measure      Measure    `yaml:"measure"`
	Accept       Accept     `yaml:"accept"`
}

// Controller answers for the processing (GDPR Art. 13(1)(a), (b)).
type Controller struct {
	Name      string `yaml:"name"` // default: the domain
	Address   string `yaml:"address"`
	Contact   string `yaml:"contact"`
	DPO       string `yaml:"dpo"`
	Authority string `yaml:"authority"`
}

// Notice is the operator's label of what visitors are asked.
type Notice struct {
	Version   string `yaml:"version"`
	Updated   string `yaml:"updated"` // 2025-07-01
	PolicyURL string `yaml:"policy_url"`
}

// Purpose is one that a site adds to Sluice's own.
type Purpose struct {
	Name        string `yaml:"name"`
	Title       string `yaml:"title"`
	Description string `yaml:"description"`
}

// Service is a tool that the site uses. A preset's fields can all be
// overridden; a service without a preset names them all.
type Service struct {
	Preset      string            `yaml:"preset"`
	Name        string            `yaml:"name"` // default: the preset's
	Title       string            `yaml:"title"`
	Purpose     string            `yaml:"purpose"`
	Kind        string            `yaml:"kind"`      // what it does, in one of Sluice's words: chat, video, map, …
	Texts       map[string]string `yaml:"texts"`     // language → one sentence on what it does
	Necessary   string            `yaml:"necessary"` // why an essential service of your own cannot be done without
	Provider    string            `yaml:"provider"`
	Recipients  []string          `yaml:"recipients"` // who else receives data
	Country     string            `yaml:"country"`    // ISO 3166-1 alpha-2
	Transfer    string            `yaml:"transfer"`   // dpf, scc, adequacy or none
	Hosts       []string          `yaml:"hosts"`
	Cookies     []Cookie          `yaml:"cookies"`
	Pages       []string          `yaml:"pages"` // path prefixes that an essential service is limited to
	PolicyURL   string            `yaml:"policy_url"`
	ConsentMode []string          `yaml:"consent_mode"` // Google signals that a grant turns on beyond analytics_storage
	Reload      *bool             `yaml:"reload"`       // it cannot be stopped in a running page

	ID            string `yaml:"id"` // the account at the provider: Hotjar's site id
	MeasurementID string `yaml:"measurement_id"`
	APISecret     Secret `yaml:"api_secret"`
	Endpoint      string `yaml:"endpoint"` // replaces the Measurement Protocol URL
	Region        bool   `yaml:"region"`   // Google Analytics is told the region beside the country
	Relay         bool   `yaml:"relay"`    // what gtag.js measured goes on in gtag's own format

	URL    string `yaml:"url"`     // of a webhook's receiver, of a Matomo
	Secret Secret `yaml:"secret"`  // of a webhook: whsec_ and base64
	SiteID string `yaml:"site_id"` // of a website in Matomo
	Token  Secret `yaml:"token"`   // of a user of Matomo who may write
}

// Cookie is one that a service declares.
type Cookie struct {
	Name     string `yaml:"name"`     // "*" at the end matches any rest
	Lasts    string `yaml:"lasts"`    // "180 days", "session", "persistent"
	Purpose  string `yaml:"purpose"`  // one of Sluice's words (visitor, visit, …), or your own
	Kind     string `yaml:"kind"`     // cookie, or a storage key: local, session
	Provider string `yaml:"provider"` // where it is not the service's
}

// Banner is how the question looks.
type Banner struct {
	Layout      string                       `yaml:"layout"` // bar, box or corner
	Theme       map[string]string            `yaml:"theme"`  // surface, ink, muted, line, accent, on-accent (each also with -dark), radius, font, scheme
	Texts       map[string]map[string]string `yaml:"texts"`  // language → text → words
	Variants    []Variant                    `yaml:"variants"`
	CloseButton bool                         `yaml:"close_button"` // closes without an answer: the next page asks again
}

// Variant is a banner shown to a share of visitors, in the place of the usual
// one; reports compare how often each is agreed to.
type Variant struct {
	Name   string                       `yaml:"name"`
	Share  int                          `yaml:"share"` // per cent
	Layout string                       `yaml:"layout"`
	Theme  map[string]string            `yaml:"theme"`
	Texts  map[string]map[string]string `yaml:"texts"`
}

// Signals says what a browser's own signals mean.
type Signals struct {
	GPC string `yaml:"gpc"` // honour or ignore
	DNT string `yaml:"dnt"` // honour or ignore
}

// Goal counts an event or a page as a success.
type Goal struct {
	Name  string `yaml:"name"`
	Event string `yaml:"event"`
	Path  string `yaml:"path"`
}

// Funnel is a way through a site: paths and goals, in order.
type Funnel struct {
	Name  string   `yaml:"name"`
	Steps []string `yaml:"steps"`
}

// Exclude names what is never counted.
type Exclude struct {
	IPs       []Network `yaml:"ips"`
	Paths     []string  `yaml:"paths"`
	Countries []string  `yaml:"countries"`
	Hostnames []string  `yaml:"hostnames"` // "*." before one: whatever belongs to it
	Bots      bool      `yaml:"bots"`
}

// Measure says what the script measures beyond the page that was loaded,
// under a grant of statistics.
type Measure struct {
	Routes     bool     `yaml:"routes"`      // navigations within the page, by the history API, are pageviews
	HashRoutes bool     `yaml:"hash_routes"` // #/cart and #!/cart are pages of their own
	Engagement bool     `yaml:"engagement"`  // how long a page was visible and focused
	Scroll     bool     `yaml:"scroll"`      // how far down a page was shown
	Outbound   bool     `yaml:"outbound"`    // links to other sites
	Downloads  []string `yaml:"downloads"`   // links to files with these extensions
	Forms      bool     `yaml:"forms"`       // that a form was sent, never what was in it
	NotFound   bool     `yaml:"not_found"`   // pages that the server answered with 404
	Search     []string `yaml:"search"`      // parameters of an address that hold what was looked for
	Tagged     bool     `yaml:"tagged"`      // elements with data-sluice-event
	Vitals     bool     `yaml:"vitals"`      // LCP, INP, CLS, TTFB
	Errors     bool     `yaml:"errors"`      // how many JavaScript errors there were, never their text
}

// Accept opens the doors of other products' trackers.
type Accept struct {
	Plausible   bool `yaml:"plausible"`   // /api/event
	Umami       bool `yaml:"umami"`       // /api/send
	GoatCounter bool `yaml:"goatcounter"` // /count
	Gtag        bool `yaml:"gtag"`
}

// Root reports whether a tracker may ask for a door outside base_path.
func (a Accept) Root() bool { return a != Accept{} }

// User may open the dashboards.
type User struct {
	Email        string   `yaml:"email"`
	PasswordHash Secret   `yaml:"password_hash"` // from `sluice user hash`
	Role         string   `yaml:"role"`          // admin or viewer
	Sites        []string `yaml:"sites"`         // of a viewer
}

// APIKey may query statistics, send events, and record and look up who may be
// written to.
type APIKey struct {
	Name    string   `yaml:"name"`
	KeyHash Secret   `yaml:"key_hash"` // sha256: and the hex digest of the key
	Sites   []string `yaml:"sites"`
}

// Hooks receive inbound STOP messages. Sites of a provider are those whose
// numbers it serves; none: all.
type Hooks struct {
	Keywords []string `yaml:"keywords"` // that mean STOP beside the usual ones
	Twilio   Twilio   `yaml:"twilio"`
	Meta     Meta     `yaml:"meta"`
	GreenAPI GreenAPI `yaml:"green-api"`
}

// hook is what all providers have.
type hook struct {
	name  string // as the door and the key are called
	sites []string
}

func (h *Hooks) providers() []hook {
	return []hook{{"twilio", h.Twilio.Sites}, {"meta", h.Meta.Sites}, {"green-api", h.GreenAPI.Sites}}
}

// Served lists the sites whose numbers each provider serves, by its name; those
// of all sites are missing.
func (h *Hooks) Served() map[string][]string {
	out := map[string][]string{}
	for _, p := range h.providers() {
		if len(p.sites) > 0 {
			out[p.name] = p.sites
		}
	}
	return out
}

// Twilio signs with its auth token.
type Twilio struct {
	AuthToken Secret   `yaml:"auth_token"`
	Sites     []string `yaml:"sites"`
}

// Meta signs with the app secret.
type Meta struct {
	AppSecret   Secret   `yaml:"app_secret"`
	VerifyToken Secret   `yaml:"verify_token"`
	Sites       []string `yaml:"sites"`
}

// GreenAPI sends a token along.
type GreenAPI struct {
	Token Secret   `yaml:"token"` // webhookUrlToken of the instance
	Sites []string `yaml:"sites"`
}

// Mail is the SMTP server for reports and invitations.
type Mail struct {
	Host     string `yaml:"host"`
	Port     int    `yaml:"port"`
	Username string `yaml:"username"`
	Password Secret `yaml:"password"`
	From     string `yaml:"from"`
	TLS      string `yaml:"tls"` // starttls, tls or none
}

// Default is right for a single machine. Sites have defaults of their own, set
// where the file names one.
func Default() *Config {
	return &Config{
		Server: Server{
			Listen:     "127.0.0.1:8080",
			ListenMode: 0o660,
			BasePath:   "/_s",
			PublicURL:  "http://127.0.0.1:8080",
			TrustedProxies: []Network{
				{netip.MustParsePrefix("127.0.0.0/8")},
				{netip.MustParsePrefix("::1/128")},
			},
			MetricsListen: "127.0.0.1:9464",
		},
		DataDir:    "./data",
		ClickHouse: ClickHouse{URL: "embedded", MaxMemory: 1 << 30},
		Spool:      Spool{Max: 2 << 30},
		Limits:     Limits{PerPrefix: 200, Burst: 1000},
		Retention: Retention{
			Events:   Period{Months: 25},
			Receipts: Period{Months: 36},
			Forwards: Period{Months: 13},
			Counters: Period{Months: 36},
		},
		Backup: Backup{BeforeUpgrade: true, S3: S3{Region: "us-east-1"}},
		Mail:   Mail{Port: 587, TLS: "starttls"},
	}
}

// downloads are the extensions of files that are saved rather than shown. Each
// costs every visitor who agrees some bytes: with these the measuring keeps to
// 2.5 kB.
var downloads = []string{
	"pdf", "doc", "docx", "xls", "xlsx", "ppt", "pptx", "odt", "ods", "odp", "txt", "csv",
	"zip", "gz", "rar", "exe", "msi", "dmg", "apk", "mp3", "mp4",
}

// searchParameters are those that Google Analytics looks for by default:
// https://support.google.com/analytics/answer/9216061.
var searchParameters = []string{"q", "s", "search", "query", "keyword"}

// defaultSite is what a site starts from before its entry is decoded.
func defaultSite() Site {
	return Site{
		Timezone:     "UTC",
		Notice:       Notice{Version: "1"},
		ConsentDays:  180,
		OnWithdrawal: "anonymise",
		Banner:       Banner{Layout: "bar"},
		Signals:      Signals{GPC: "honour", DNT: "ignore"},
		Exclude:      Exclude{Bots: true},
		Measure: Measure{
			Routes: true, Engagement: true, Scroll: true, Outbound: true, Downloads: slices.Clone(downloads), Forms: true,
			NotFound: true, Search: slices.Clone(searchParameters), Tagged: true, Vitals: true, Errors: true,
		},
	}
}
