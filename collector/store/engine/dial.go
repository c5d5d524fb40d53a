package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
)

// DialFunc connects to the engine that listens on socket, whichever process
// runs it. It has the shape of the driver's DialContext, whose address means
// nothing here.
func DialFunc(socket string) func(ctx context.Context, addr string) (net.Conn, error) {
	return func(ctx context.Context, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}
}

// Alive asks the engine on socket for the answer to SELECT 1. It waits for it
// as long as ctx allows.
func Alive(ctx context.Context, socket string) error {
	dial := DialFunc(socket)
	client := &http.Client{Transport: &http.Transport{
		DialContext:       func(ctx context.Context, _, addr string) (net.Conn, error) { return dial(ctx, addr) },
		DisableKeepAlives: true,
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://engine/alive", nil)
	if err != nil {
		return fmt.Errorf("check the engine: %w", err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("the engine does not answer: %w", err)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return fmt.Errorf("the engine does not answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the engine answers a check with %s", resp.Status)
	}
	return nil
}
