package engine

import (
	"fmt"
	"net/http"
	"strings"

	chproto "github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/column"
	"github.com/ClickHouse/clickhouse-go/v2/lib/proto"
)

// helloStatement is the driver's first request on every connection. It decodes
// the answer at its own protocol version, before it knows the server's.
const helloStatement = "SELECT displayName(), version(), revision(), timezone()"

// hello answers with revision 0: from then on the driver reads Native blocks
// of the plainest kind, which is what the engine writes.
func (s *session) hello(w http.ResponseWriter) error {
	var version, zone string
	err := s.query("SELECT version(), timezone()", "TabSeparatedRaw", nil, func(b []byte) error {
		version, zone, _ = strings.Cut(strings.TrimSpace(string(b)), "\t")
		return nil
	})
	if err != nil {
		return err
	}
	block := proto.NewBlock()
	block.ServerContext = &column.ServerContext{}
	for _, c := range []struct {
		name string
		of   column.Type
	}{{"displayName()", "String"}, {"version()", "String"}, {"revision()", "UInt32"}, {"timezone()", "String"}} {
		if err := block.AddColumn(c.name, c.of); err != nil {
			return fmt.Errorf("compose the engine's hello: %w", err)
		}
	}
	if err := block.Append("embedded", version, uint32(0), zone); err != nil {
		return fmt.Errorf("compose the engine's hello: %w", err)
	}
	var buf chproto.Buffer
	if err := block.Encode(&buf, clickhouse.ClientTCPProtocolVersion); err != nil {
		return fmt.Errorf("encode the engine's hello: %w", err)
	}
	return writeTo(w)(buf.Buf)
}
