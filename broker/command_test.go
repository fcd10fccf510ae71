package broker

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"servicebroker/tns"
)

// commandWords are all that tools and databases send, tns.md 10.1, and some that nobody does.
func commandWords() []string {
	return []string{
		"ping", "version", "status", "services", "reload", "stop", "save_config", "log_file", "log_directory", "log_status",
		"trc_level", "trc_file", "trc_directory", "rawmode", "displaymode", "password", "dbsnmp_start", "dbsnmp_stop", "dbsnmp_status", "debug",
		"service_register", "service_register_NSGR", "start", "show", "set", "change_password", "shutdown", "admin", "nosuch",
	}
}

// dresses are the forms in which a word may come.
func dresses(word string) map[string]string {
	upper := strings.ToUpper(word)
	return map[string]string{
		"plain":             "(CONNECT_DATA=(COMMAND=" + word + "))",
		"upper case":        "(CONNECT_DATA=(COMMAND=" + upper + "))",
		"lower-case names":  "(connect_data=(command=" + word + "))",
		"odd spacing":       " ( CONNECT_DATA =\t( COMMAND\n = " + word + " ) ) ",
		"quoted":            `(CONNECT_DATA=(COMMAND="` + word + `"))`,
		"quoted name":       `(CONNECT_DATA=("COMMAND"=` + word + `))`,
		"of lsnrctl":        "(DESCRIPTION=(CONNECT_DATA=(CID=(PROGRAM=)(HOST=h)(USER=oracle))(COMMAND=" + word + ")(ARGUMENTS=64)(SERVICE=LISTENER)(VERSION=318767104)))",
		"with an address":   "(CONNECT_DATA=(COMMAND=" + word + ")(SERVICE=(ADDRESS=(PROTOCOL=tcp)(HOST=h)(PORT=1521)))(VALUE=x))",
		"in a list":         "(DESCRIPTION_LIST=(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=h)(PORT=1))(CONNECT_DATA=(COMMAND=" + word + "))))",
		"with a service":    "(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales)(COMMAND=" + word + ")))",
		"before a service":  "(DESCRIPTION=(CONNECT_DATA=(COMMAND=" + word + ")(SERVICE_NAME=sales)(SID=sales1)))",
		"with a password":   "(CONNECT_DATA=(COMMAND=" + word + ")(PASSWORD=0123456789ABCDEF))",
		"behind empty data": "(DESCRIPTION=(CONNECT_DATA=(COMMAND=" + word + "))(CONNECT_DATA=(SERVICE_NAME=sales)))",
	}
}

// hidden are forms in which another listener might see a command, of which it is not clear that one is meant.
func hidden(word string) map[string]string {
	return map[string]string{
		"second connect data":  "(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales))(CONNECT_DATA=(COMMAND=" + word + ")))",
		"second description":   "(DESCRIPTION_LIST=(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales)))(DESCRIPTION=(CONNECT_DATA=(COMMAND=" + word + "))))",
		"twice":                "(CONNECT_DATA=(COMMAND=ping)(COMMAND=" + word + "))",
		"twice the other way":  "(CONNECT_DATA=(COMMAND=" + word + ")(COMMAND=ping))",
		"twice, of a database": "(CONNECT_DATA=(COMMAND=service_register_NSGR)(COMMAND=" + word + "))",
		"beside connect data":  "(DESCRIPTION=(COMMAND=" + word + ")(CONNECT_DATA=(SERVICE_NAME=sales)))",
		"without connect data": "(COMMAND=" + word + ")",
		"deeper":               "(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales)(CID=(COMMAND=" + word + "))))",
		"no value":             "(CONNECT_DATA=(SERVICE_NAME=sales)(COMMAND=))",
		"a list for a value":   "(CONNECT_DATA=(SERVICE_NAME=sales)(COMMAND=(" + word + "=1)))",
	}
}

func TestCommandsAreSeenHoweverTheyAreDressed(t *testing.T) {
	for _, word := range commandWords() {
		for dress, text := range dresses(word) {
			if got := commandOf([]byte(text)); !strings.EqualFold(got, word) {
				t.Errorf("%s, %s: %q", word, dress, got)
			}
		}
		for dress, text := range hidden(word) {
			if got := commandOf([]byte(text)); got != noSuchCommand {
				t.Errorf("%s, %s: %q", word, dress, got)
			}
		}
	}
	for _, text := range []string{
		"", "(", "(CONNECT_DATA=(SERVICE_NAME=sales))", "(CONNECT_DATA=(SERVICE_NAME=command))", `(CONNECT_DATA=(SERVICE_NAME=a\(b))`,
		"(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=sales)(CID=(PROGRAM=/opt/command/x))))", "(CONNECT_DATA=(COMMAND=stop)",
	} {
		if got := commandOf([]byte(text)); got != "" {
			t.Errorf("%s: %q", text, got)
		}
	}
}

// elsewhere is a connection from another host.
type elsewhere struct{ net.Conn }

func (elsewhere) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 77), Port: 40001}
}

// fromElsewhere hands a CONNECT to a broker as if it came from another host, and returns the first answer.
func (r *running) fromElsewhere(text string) tns.Message {
	r.t.Helper()
	ours, theirs := net.Pipe()
	served := make(chan struct{})
	go func() {
		defer close(served)
		defer theirs.Close()
		r.serve(context.Background(), &arrival{raw: elsewhere{theirs}, came: time.Now()})
	}()
	defer func() {
		ours.Close()
		<-served
	}()
	_ = ours.SetDeadline(time.Now().Add(10 * time.Second))
	conn := tns.NewConn(ours)
	if err := conn.Send(tns.NewConnect([]byte(text))); err != nil {
		r.t.Fatal(err)
	}
	answer, err := conn.ReadReply()
	if err != nil {
		r.t.Fatalf("%s: %v", text, err)
	}
	return answer
}

// No other host administers a broker, in whatever form it tries; a ping is answered to anyone.
func TestCommandsFromElsewhereAreRefused(t *testing.T) {
	r := start(t, func(c *Config) { c.Name = "cman1" })
	r.register("sales1", "sales")
	refused := func(text string) {
		t.Helper()
		if answer, ok := r.fromElsewhere(text).(*tns.Refuse); !ok || answer.Code() != tns.CodeAdminRefused {
			t.Errorf("%s: %#v", text, answer)
		}
	}
	for _, word := range commandWords() {
		for dress, text := range dresses(word) {
			switch {
			case word == "ping":
				if answer, ok := r.fromElsewhere(text).(*tns.Refuse); !ok || answer.Text != "(DESCRIPTION=(TMP=)(VSNNUM=0)(ERR=0)(ALIAS=cman1))" {
					t.Errorf("ping, %s: %#v", dress, answer)
				}
			case word == "service_register_NSGR":
				if answer, ok := r.fromElsewhere(text).(*tns.Refuse); !ok || answer.Code() == 0 {
					t.Errorf("a registration from elsewhere, %s: %#v", dress, answer)
				}
			default:
				refused(text)
			}
		}
	}
	for _, text := range hidden("stop") {
		refused(text)
	}
	if n := len(r.Snapshot().Services()); n != 1 || r.stopping.Load() {
		t.Errorf("%d services, stopping %v", n, r.stopping.Load())
	}
}

// This host is told of what nobody knows, and nothing that hides a command comes as far as an instance.
func TestHiddenCommandsAreUnknown(t *testing.T) {
	r := start(t, nil)
	r.register("sales1", "sales")
	for _, word := range []string{"stop", "services"} {
		for _, text := range hidden(word) {
			r.wantCode(text, tns.CodeUnknownCommand)
		}
	}
	for _, word := range commandWords() {
		switch word {
		case "ping", "version", "status", "services", "service_register_NSGR":
		default:
			for _, text := range dresses(word) {
				r.wantCode(text, tns.CodeUnknownCommand)
			}
		}
	}
}
