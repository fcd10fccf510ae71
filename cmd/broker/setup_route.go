package main

import (
	"fmt"
	"io"
	"net"
	"strings"

	"servicebroker/descriptor"
)

// writeRoute prints what a client takes that names its way itself.
func (c *setupClientCommand) writeRoute(w io.Writer, broker descriptor.Address) error {
	stops := []descriptor.Address{broker}
	for _, stop := range c.Route {
		host, port, err := net.SplitHostPort(stop)
		a, bad := descriptor.ParseAddress("(ADDRESS=(PROTOCOL=tcp)(HOST=" + host + ")(PORT=" + port + "))")
		if err != nil || bad != nil || a.Port == 0 {
			return fmt.Errorf("--route %s is no address: write HOST:PORT, such as db1:1521", stop)
		}
		stops = append(stops, a)
	}
	var lines, address strings.Builder
	for _, a := range stops {
		fmt.Fprintf(&lines, "      (ADDRESS = (PROTOCOL = %s)(HOST = %s)(PORT = %d))\n", strings.ToUpper(a.Protocol), a.Host, a.Port)
		address.WriteString(a.String())
	}
	alias, _, _ := strings.Cut(c.Service, ".")
	_, err := fmt.Fprintf(w, `tnsnames.ora; the first address is the broker's, the last one the database's own listener:

  %[1]s =
    (DESCRIPTION =
      (SOURCE_ROUTE = yes)
%[2]s      (CONNECT_DATA = (SERVICE_NAME = %[3]s)))

The broker needs a rule whose DST takes %[4]s. Try it:

  broker explain '(DESCRIPTION=(SOURCE_ROUTE=yes)%[5]s(CONNECT_DATA=(SERVICE_NAME=%[3]s)))'
`, strings.ToUpper(alias), lines.String(), c.Service, stops[1].Host, address.String())
	return err
}
