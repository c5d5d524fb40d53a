package server

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"sluice/collector/ga4/judge"
)

// errNotKept ends `sluice ga validate` where Google would not keep all of it.
var errNotKept = errors.New("google analytics would not keep all of it")

// runGAValidate says what Google Analytics would make of the body of a
// Measurement Protocol request, without asking Google.
func runGAValidate(_ context.Context, t terminal, args []string) error {
	var relaxed, asJSON *bool
	fs, err := flags(t, "ga validate", args, 1, func(fs *flag.FlagSet) {
		relaxed = fs.Bool("relaxed", false, "judge as Google does in production, where it leaves things out in silence; else what ENFORCE_RECOMMENDATIONS rejects is a complaint")
		asJSON = fs.Bool("json", false, "answer as Google's validation server does")
	})
	if err != nil {
		return err
	}
	if fs.NArg() == 0 {
		return &usageError{"ga validate: name a file that holds the body of a request to /mp/collect, or - for standard input"}
	}
	body, err := readBody(t, fs.Arg(0))
	if err != nil {
		return err
	}
	mode := judge.Strict
	if *relaxed {
		mode = judge.Relaxed
	}
	v := judge.Judge(judge.Request{
		Method: http.MethodPost, Header: http.Header{"Content-Type": {"application/json"}}, Body: body, At: time.Now(),
		Query: url.Values{"measurement_id": {"G-"}, "api_secret": {"-"}}, // whose values Google's validation does not check either
	}, mode)
	if *asJSON {
		said := v.Messages
		if said == nil {
			said = []judge.Message{}
		}
		err = json.NewEncoder(t.out).Encode(map[string][]judge.Message{"validationMessages": said})
	} else {
		printVerdict(t.out, v)
	}
	if err == nil && (v.Refused != "" || v.Invisible || len(v.Messages)+len(v.Dropped)+len(v.Violations) > 0) {
		err = errNotKept
	}
	return err
}

// readBody reads a file, or standard input for "-", one byte more than Google
// takes at most.
func readBody(t terminal, path string) ([]byte, error) {
	in := t.in
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, &usageError{fmt.Sprintf("ga validate: %v", err)}
		}
		defer f.Close()
		in = f
	}
	body, err := io.ReadAll(io.LimitReader(in, judge.MaxBody+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return body, nil
}

// printVerdict tells a person, complaint by complaint. The rule's number is
// that of package judge.
func printVerdict(w io.Writer, v judge.Verdict) {
	complain := func(word string, messages []judge.Message) {
		for _, m := range messages {
			at := ""
			if m.FieldPath != "" {
				at = " at " + m.FieldPath
			}
			fmt.Fprintf(w, "%s, rule %d, %s%s: %s\n", word, m.Rule, m.Code, at, m.Description)
		}
	}
	complain("rejected", v.Messages)
	complain("left out in silence", v.Flags)
	for _, s := range v.Violations {
		fmt.Fprintf(w, "never sent by Sluice, rule 22: %s\n", s)
	}
	if v.Refused != "" {
		fmt.Fprintf(w, "the whole request is dropped: %s\n", v.Refused)
	}
	if v.Invisible {
		fmt.Fprintln(w, "the request is taken and never shown in a report: client_id is not number.number")
	}
	fmt.Fprintf(w, "%d events kept, %d dropped\n", len(v.Accepted), len(v.Dropped))
}
