package engine

import "regexp"

// Exception is an error of the engine itself, in its own words:
// "Code: 47. DB::Exception: Unknown identifier …".
type Exception struct{ Text string }

func (e *Exception) Error() string { return e.Text }

// Code returns the engine's error number as text, "" where there is none.
func (e *Exception) Code() string {
	if m := exceptionCode.FindStringSubmatch(e.Text); m != nil {
		return m[1]
	}
	return ""
}

var exceptionCode = regexp.MustCompile(`^Code: (\d+)\.`)
