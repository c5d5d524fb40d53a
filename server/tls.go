package server

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"path/filepath"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
	"golang.org/x/net/netutil"

	"sluice/server/config"
)

// certificatesName is the folder of account and certificates. No backup holds
// it: an authority gives new ones.
const certificatesName = "certificates"

// ports are where browsers come to without a proxy in between.
type ports struct{ secure, plain string }

var standardPorts = ports{secure: ":443", plain: ":80"}

// listening is a server and where it listens.
type listening struct {
	server   *http.Server
	listener net.Listener
}

// openTLS opens the ports of browsers: one with certificates of an ACME authority
// (RFC 8555), and one that answers the authority's questions and leads everybody
// else to the first.
func (m *machine) openTLS(ctx context.Context) ([]listening, error) {
	manager := newCertificates(m.config)
	secure, err := listen(m.ports.secure, 0)
	if err != nil {
		return nil, err
	}
	plain, err := listen(m.ports.plain, 0)
	if err != nil {
		return nil, errors.Join(err, secure.Close())
	}
	answering := listening{m.httpServer(manager.HTTPHandler(nil)), netutil.LimitListener(plain, maxConnections)}
	go m.fetchCertificates(ctx, manager.GetCertificate)
	return []listening{
		{m.httpServer(m.handler), tls.NewListener(netutil.LimitListener(secure, maxConnections), manager.TLSConfig())},
		answering,
	}, nil
}

func newCertificates(c *config.Config) *autocert.Manager {
	t := c.Server.TLS
	return &autocert.Manager{
		Prompt: autocert.AcceptTOS, Email: t.Email, HostPolicy: autocert.HostWhitelist(t.Domains...),
		Cache:  autocert.DirCache(filepath.Join(c.DataDir, certificatesName)),
		Client: &acme.Client{DirectoryURL: t.Directory, UserAgent: "sluice/" + readBuild().version},
	}
}

// fetchCertificates gets what is missing before the first visitor waits for it,
// and says what stands in the way.
func (m *machine) fetchCertificates(ctx context.Context, get func(*tls.ClientHelloInfo) (*tls.Certificate, error)) {
	for _, domain := range m.config.Server.TLS.Domains {
		_, err := get(&tls.ClientHelloInfo{ // of a browser that takes ECDSA
			ServerName: domain, SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256},
			SupportedCurves: []tls.CurveID{tls.CurveP256}, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
		})
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			m.log.ErrorContext(ctx, "no certificate; it is asked for again with the next visitor. Does the name lead here, and can ports 80 and 443 be reached from outside?",
				"domain", domain, "err", err)
		default:
			m.log.InfoContext(ctx, "certificate is there", "domain", domain)
		}
	}
}
