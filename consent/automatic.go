package consent

// Names of the events that Sluice's script measures by itself after a grant.
// They are listed here, in the room that everyone knows, so that the collector,
// the reports and the forwarder agree on them.
const (
	EventPageview     = "pageview"
	EventEngagement   = "engagement"    // how long a page was in view since the last such event
	EventScroll       = "scroll"        // how far down a page was read
	EventOutboundLink = "outbound_link" // a link to another site was followed
	EventFileDownload = "file_download"
	EventFormSubmit   = "form_submit"
	EventNotFound     = "404"
	EventSearch       = "search" // of the site's own search
	EventWebVital     = "web_vital"
	EventError        = "error" // a JavaScript error, without its text
)

// Measurements say how a page fared. They are no events of a visitor's: no
// figure but their own counts them.
func Measurements() []string { return []string{EventEngagement, EventScroll, EventWebVital} }

// Bystanders happen without a visitor's doing: they are events, but no
// interaction, so a visit with one pageview and some of these is a bounce still
// (as Plausible counts events that are sent with interactive: false).
func Bystanders() []string { return []string{EventNotFound, EventSearch, EventError} }
