package main

import (
	"bufio"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// Databases on Linux report 5120 per processor as the maximum of their node load
// (nsgr.md 4.3). That a load average of 1 counts 1024 of them is our reading.
const (
	nodeLoadPerProcess   = 1024
	nodeLoadPerProcessor = 5120
)

// nodeLoad returns the machine's load and its maximum in the units of a
// registration. Where the system does not tell, the load is 0.
func nodeLoad() (load, maximum uint32) {
	maximum = uint32(nodeLoadPerProcessor * runtime.NumCPU())
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0, maximum
	}
	first, _, _ := strings.Cut(string(text), " ")
	average, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return 0, maximum
	}
	return uint32(average * nodeLoadPerProcess), maximum
}

// establishedOn counts the established TCP connections at a local port: each is
// a session, since a dedicated server keeps the port of the listener it came by.
func establishedOn(port int) uint32 {
	var n uint32
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		n += countEstablished(file, port)
	}
	return n
}

func countEstablished(file string, port int) (n uint32) {
	f, err := os.Open(file)
	if err != nil {
		return 0
	}
	defer f.Close()
	const established = "01"
	wanted := ":" + strings.ToUpper(leftPad(strconv.FormatInt(int64(port), 16), 4))
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) > 3 && strings.HasSuffix(fields[1], wanted) && fields[3] == established {
			n++
		}
	}
	return n
}

func leftPad(s string, width int) string {
	return strings.Repeat("0", max(0, width-len(s))) + s
}
