package backup

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestSignature holds the signer against Amazon's own examples ("Examples:
// Signature Calculations in AWS Signature Version 4", Amazon S3 API Reference).
func TestSignature(t *testing.T) {
	t.Parallel()
	c := Credentials{AccessKey: "AKIAIOSFODNN7EXAMPLE", SecretKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", Region: "us-east-1"}
	now := time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		name, method, url, body string
		header                  map[string]string
		want                    string
	}{
		{"get an object", http.MethodGet, "/test.txt", "", map[string]string{"Range": "bytes=0-9"},
			"f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
		{"put an object", http.MethodPut, "/test$file.text", "Welcome to Amazon S3.",
			map[string]string{"Date": "Fri, 24 May 2013 00:00:00 GMT", "X-Amz-Storage-Class": "REDUCED_REDUNDANCY"},
			"98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
		{"a parameter without a value", http.MethodGet, "/?lifecycle", "", nil,
			"fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
		{"list objects", http.MethodGet, "/?max-keys=2&prefix=J", "", nil,
			"34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), tc.method, "https://examplebucket.s3.amazonaws.com"+tc.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range tc.header {
			r.Header.Set(name, value)
		}
		c.Sign(r, fmt.Sprintf("%x", sha256.Sum256([]byte(tc.body))), now)
		if got := r.Header.Get("Authorization"); !strings.HasSuffix(got, ",Signature="+tc.want) {
			t.Errorf("%s: got %s, want the signature %s", tc.name, got, tc.want)
		}
	}
}
