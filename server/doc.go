// Package server is the outermost room: it knows every other one, and nothing
// but main.go knows it.
//
// run.go is the machine, read from top to bottom; routes.go has every path;
// errors.go the one table from error to answer; commands.go the command line.
//
// # Why
//
// What a proxy says about a request is settled before anything else sees it
// ([origins]): the address of the client is put in the place of the peer's,
// and every forwarding header that nobody may believe is taken off. So no room
// can be talked into trusting one by mistake, whatever its framework's
// defaults are.
package server
