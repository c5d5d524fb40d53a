package consent

// Purpose names why data is processed. The first two beside Essential are
// offered by every site; Marketing and Media appear where a service of theirs
// is configured; a site may add its own.
type Purpose string

// The purposes that Sluice knows texts for.
const (
	// Essential needs no consent (ePrivacy Art. 5(3), second sentence) and is
	// always on; it is never part of a token.
	Essential  Purpose = "essential"
	Analytics  Purpose = "analytics"
	Preference Purpose = "preference"
	Marketing  Purpose = "marketing"
	Media      Purpose = "media"
)

// PurposeText is a purpose that a site adds, with the words that the visitor
// reads. Purposes that Sluice knows leave Title and Description empty: their
// words come with the banner's language.
type PurposeText struct {
	Name        Purpose
	Title       string
	Description string
}

// Statistics is the name of the service that is always there: the site's own
// audience measurement, under [Analytics].
const Statistics = "statistics"

// maxPurposes and maxServices are what a token's bits can hold; bit 15 of the
// purposes is [gpcBit].
const (
	maxPurposes = 15
	maxServices = 32
)
