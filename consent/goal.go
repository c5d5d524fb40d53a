package consent

// Goal is what a site counts as a success: an event of a name, or a view of a
// page. Exactly one of Event and Path is set.
type Goal struct {
	Name  string
	Event string
	Path  string // exact, or everything before a "*" at the end
}

// Funnel is a way through a site.
type Funnel struct {
	Name  string
	Steps []Goal // in order; a step that is a path is called by it
}
