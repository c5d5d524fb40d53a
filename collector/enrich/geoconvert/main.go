// Command geoconvert turns a flat country database, as the ip-location-db
// project publishes them (records of {country_code}), into one of type
// GeoLite2-Country, which geoip2-golang reads:
//
//	go run ./collector/enrich/geoconvert IN.mmdb OUT.mmdb
package main

import (
	"fmt"
	"os"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: geoconvert IN.mmdb OUT.mmdb")
		os.Exit(2)
	}
	networks, err := Convert(os.Args[1], os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, "geoconvert:", err)
		os.Exit(1)
	}
	fmt.Printf("%s: %d networks\n", os.Args[2], networks)
}
