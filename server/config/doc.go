// Package config reads sluice.yaml.
//
// [Load] decodes the file strictly over [Default]: a key that Sluice does not
// know is a problem, with its line and column. Every problem of a file is
// collected before any is reported, so that one run of `sluice check` is
// enough. `${NAME}` in a value takes an environment variable, and any secret
// KEY may be given as KEY_file instead: the path of a file that holds it.
//
// Rooms never see these types: server hands each its own plain options, and
// [Config.ConsentSites] turns sites into what package consent knows.
//
// # Why
//
// The YAML library decodes into structs by itself, but stops at the first
// problem and forgets where a value came from. So it parses here, and
// decode.go walks its syntax tree: a page of reflection that knows the place
// of every value, which validate.go can then name.
package config
