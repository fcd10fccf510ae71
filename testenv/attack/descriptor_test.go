package attack

import (
	"fmt"
	"strings"
	"testing"

	"servicebroker/tns"
)

// wide is a descriptor of many addresses.
func wide(n int, rest string) string {
	var b strings.Builder
	b.WriteString("(DESCRIPTION=(ADDRESS_LIST=")
	for i := range n {
		fmt.Fprintf(&b, "(ADDRESS=(PROTOCOL=tcp)(HOST=h%d)(PORT=1521))", i)
	}
	return b.String() + ")" + rest + ")"
}

// colliding are many names of nodes, all different.
func colliding(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "(K%d=)", i)
	}
	return b.String()
}

// descriptors is the row of the catalogue about the name-value text.
func descriptors() []probe {
	const service, wrong = "(CONNECT_DATA=(SERVICE_NAME=sales))", tns.CodeBadDescriptor
	ask := func(name, text string, want tns.Code, class string) probe {
		return probe{name: name, send: connect(text), want: want, class: class}
	}
	return []probe{
		ask("unbalanced: open", "(CONNECT_DATA=(SERVICE_NAME=sales)", wrong, "descriptor"),
		ask("unbalanced: closed", "(CONNECT_DATA=(SERVICE_NAME=sales)))", wrong, "descriptor"),
		ask("no parentheses", "sales", wrong, "descriptor"),
		ask("only parentheses", "()", wrong, "descriptor"),
		ask("empty", "", wrong, "descriptor"),
		ask("10,000 nested", strings.Repeat("(A=", 10_000)+strings.Repeat(")", 10_000), wrong, "descriptor"),
		ask("10,000 open", strings.Repeat("(", 10_000), wrong, "descriptor"),
		ask("duplicate SERVICE_NAME", "(CONNECT_DATA=(SERVICE_NAME=sales)(SERVICE_NAME=other))", wantAccept, ""),
		ask("duplicate CONNECT_DATA", "(DESCRIPTION="+service+"(CONNECT_DATA=(SERVICE_NAME=other)))", wantAccept, ""),
		ask("empty SERVICE_NAME", "(CONNECT_DATA=(SERVICE_NAME=))", tns.CodeNoServiceName, "descriptor"),
		ask("no name at all", "(CONNECT_DATA=(CID=(PROGRAM=x)))", tns.CodeNoServiceName, "descriptor"),
		ask("no CONNECT_DATA", "(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=h)(PORT=1)))", tns.CodeNoConnectData, "descriptor"),
		ask("SID alone", "(CONNECT_DATA=(SID=nosuch))", tns.CodeUnknownSID, ""),
		ask("INSTANCE_NAME of none", "(CONNECT_DATA=(SERVICE_NAME=sales)(INSTANCE_NAME=nosuch))", tns.CodeUnknownInstance, ""),
		ask("quoted parentheses", `(CONNECT_DATA=(SERVICE_NAME="sa(l)es"))`, tns.CodeUnknownService, ""),
		ask("escaped parentheses", `(CONNECT_DATA=(SERVICE_NAME=sa\(l\)es))`, tns.CodeUnknownService, ""),
		ask("a quote that never ends", `(CONNECT_DATA=(SERVICE_NAME="sales))`, wrong, "descriptor"),
		ask("a number sign", "(CONNECT_DATA=(SERVICE_NAME=a#b))", wantAny, ""),
		ask("a comment", "(CONNECT_DATA=(SERVICE_NAME=nosuch)#)\n)", wrong, "descriptor"),
		ask("NUL", "(CONNECT_DATA=(SERVICE_NAME=sales\x00x))", wantAny, ""),
		ask("NUL at the end", service+"\x00", wantAccept, ""),
		ask("UTF-8 that is none", "(CONNECT_DATA=(SERVICE_NAME=\xff\xfe\xc0\xaf))", tns.CodeUnknownService, ""),
		ask("UTF-16", utf16(service), wrong, "descriptor"),
		ask("overlong UTF-8", "(CONNECT_DATA=(SERVICE_NAME=s\xc1\xa1les))", tns.CodeUnknownService, ""),
		ask("a value of 60,000 bytes", "(CONNECT_DATA=(SERVICE_NAME="+strings.Repeat("x", 60_000)+"))", wantAny, ""),
		{name: "a value of 1 MB", send: append(announcing(1<<20&0xffff), data([]byte("(CONNECT_DATA=(SERVICE_NAME="+strings.Repeat("x", 1<<20)+"))"))...), want: wantAny, class: "descriptor"},
		ask("thousands of addresses", wide(1_400, service), wantAccept, ""),
		ask("thousands of addresses, a route", wide(1_400, "(SOURCE_ROUTE=yes)"+service), wantAny, "descriptor"),
		ask("names without end", "(CONNECT_DATA=(SERVICE_NAME=sales)"+colliding(7_000)+")", wantAccept, ""),
		ask("a route to loopback", "(DESCRIPTION=(SOURCE_ROUTE=yes)(ADDRESS=(PROTOCOL=tcp)(HOST=h)(PORT=1))(ADDRESS=(PROTOCOL=tcp)(HOST=127.0.0.1)(PORT=22))"+service+")", tns.CodeRuleRejects, ""),
		ask("a route that is none", "(DESCRIPTION=(SOURCE_ROUTE=yes)(ADDRESS=(PROTOCOL=tcp))"+service+")", tns.CodeBadAddress, "descriptor"),
		ask("a route in lists in lists", "(DESCRIPTION=(SOURCE_ROUTE=yes)(ADDRESS_LIST=(SOURCE_ROUTE=yes)(ADDRESS=(PROTOCOL=tcp)(HOST=h)(PORT=1)))(ADDRESS_LIST=(ADDRESS=(PROTOCOL=tcp)(HOST=169.254.169.254)(PORT=80)))"+service+")", tns.CodeRuleRejects, ""),
	}
}

func utf16(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		b.WriteByte(0)
		b.WriteByte(c)
	}
	return b.String()
}

func TestDescriptors(t *testing.T) {
	w := start(t, nil)
	w.all(t, descriptors())
	w.unharmed()
}

// commands are those by which a listener is administered; all in the forms that tools and attackers use.
func commands() (all []probe) {
	words := []string{
		"status", "services", "version", "reload", "stop", "save_config", "log_file", "log_directory", "log_status", "trc_level", "trc_file",
		"trc_directory", "rawmode", "displaymode", "password", "change_password", "dbsnmp_start", "dbsnmp_stop", "dbsnmp_status", "debug", "start",
		"show", "set", "shutdown", "service_register", "service_update", "service_died", "redirect", "nosuch",
	}
	for _, word := range words {
		for i, form := range []string{
			"(CONNECT_DATA=(COMMAND=%s))", "(DESCRIPTION=(CONNECT_DATA=(CID=(PROGRAM=)(HOST=h)(USER=oracle))(COMMAND=%s)(ARGUMENTS=64)(SERVICE=LISTENER)(VERSION=318767104)))",
			"(connect_data=(command=%S))", `(CONNECT_DATA=(COMMAND="%s")(VALUE=/tmp/x))`, "(CONNECT_DATA=(SERVICE_NAME=sales)(COMMAND=%s))",
		} {
			text := strings.ReplaceAll(strings.ReplaceAll(form, "%s", word), "%S", strings.ToUpper(word))
			all = append(all, probe{name: fmt.Sprintf("%s %d", word, i), at: proxied, send: connect(text), want: tns.CodeAdminRefused, class: "command"})
		}
	}
	return all
}

// Nobody elsewhere administers the broker, or learns what it is.
func TestCommandsOfStrangers(t *testing.T) {
	w := start(t, nil)
	w.all(t, commands())
	w.unharmed()
}
