package server

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestGAValidate(t *testing.T) {
	t.Parallel()
	const good = `{"client_id":"1.2","events":[{"name":"page_view","params":{"session_id":"1","engagement_time_msec":1}}]}`
	const nested = `{"client_id":"1.2","events":[{"name":"x","params":{"a":{}}},{"name":"_x"}]}`
	file := filepath.Join(t.TempDir(), "body.json")
	if err := os.WriteFile(file, []byte(good), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		args  []string
		input string
		want  string
		kept  bool
	}{
		{"a file", []string{file}, "", "1 events kept, 0 dropped\n", true},
		{"strict", []string{"-"}, nested, `rejected, rule 13, VALUE_INVALID at events[0].params.a: Param [a] has unsupported value [struct_value].
rejected, rule 9, NAME_INVALID at events: Event at index: [1] has invalid name [_x]. Names must start with an alphabetic character.
0 events kept, 2 dropped
`, false},
		{"relaxed", []string{"--relaxed", "-"}, nested, `rejected, rule 9, NAME_INVALID at events: Event at index: [1] has invalid name [_x]. Names must start with an alphabetic character.
left out in silence, rule 13, VALUE_INVALID at events[0].params.a: Param [a] has unsupported value [struct_value].
1 events kept, 1 dropped
`, false},
		{"an address", []string{"-"}, `{"client_id":"1.2","ip_override":"203.0.113.7","events":[{"name":"x"}]}`,
			"never sent by Sluice, rule 22: address in ip_override\nnever sent by Sluice, rule 22: ip_override\n1 events kept, 0 dropped\n", false},
		{"as Google answers", []string{"--json", "-"}, `{"events":[{"name":"x"}]}`,
			`{"validationMessages":[{"fieldPath":"client_id","description":"Measurement requires a client_id.","validationCode":"VALUE_REQUIRED"}]}` + "\n", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			err := Run(t.Context(), append([]string{"ga", "validate"}, tt.args...), strings.NewReader(tt.input), &out, &out)
			if out.String() != tt.want {
				t.Errorf("got\n%swant\n%s", out.String(), tt.want)
			}
			if tt.kept != (err == nil) || err != nil && !errors.Is(err, errNotKept) {
				t.Errorf("err = %v", err)
			}
		})
	}
	var usage *usageError
	if err := Run(t.Context(), []string{"ga", "validate"}, nil, &bytes.Buffer{}, &bytes.Buffer{}); !errors.As(err, &usage) {
		t.Errorf("without a file: %v", err)
	}
}
