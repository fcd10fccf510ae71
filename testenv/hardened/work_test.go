package hardened

import (
	"context"
	"crypto/tls"
	"database/sql"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	goora "github.com/sijms/go-ora/v2"

	"servicebroker/testenv/stage"
)

// database starts a test database that registers with the broker at a port, and returns once it is known there.
func (i *instance) database(port string) {
	i.t.Helper()
	ctx, cancel := context.WithTimeout(i.t.Context(), patience)
	defer cancel()
	db, err := stage.StartDatabase(ctx, stage.DatabaseOptions{
		Program: filepath.Join(bin, "testdb"), Instance: "sales1", Services: []string{"sales"}, Listen: i.host + ":0", Brokers: []string{net.JoinHostPort(i.host, port)},
	})
	must(i.t, err)
	i.t.Cleanup(db.Kill)
	i.awaits(`msg="database registered"`)
}

// serves has a driver log in at a port and read more than fits into any buffer on the way.
func (i *instance) serves(port string, trusting *tls.Config) {
	i.t.Helper()
	at := (&url.URL{Scheme: "oracle", User: url.UserPassword(stage.User, stage.Password), Host: net.JoinHostPort(i.host, port), Path: "sales"}).String()
	if trusting != nil {
		at += "?SSL=true"
	}
	ctx, cancel := context.WithTimeout(i.t.Context(), patience)
	defer cancel()
	connector := goora.NewConnector(at).(*goora.OracleConnector)
	if trusting != nil {
		connector.WithTLSConfig(trusting)
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	long := strings.Repeat("0123456789abcdef", 20_000)
	var got goora.Clob
	if err := db.QueryRowContext(ctx, "select :1 from dual", goora.Clob{String: long, Valid: true}).Scan(&got); err != nil || got.String != long {
		i.t.Errorf("at port %s: %d bytes, %v", port, len(got.String), err)
	}
}

// get asks for something over HTTP.
func (i *instance) get(from string) string {
	i.t.Helper()
	client := http.Client{Timeout: patience}
	defer client.CloseIdleConnections()
	answer, err := client.Get(from)
	must(i.t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	must(i.t, err)
	return string(text)
}

// broken has clients come that say nothing, half of a packet, and nonsense.
func (i *instance) broken(port string) {
	i.t.Helper()
	for _, text := range []string{"", "\x00\x3a\x00\x00\x01\x00", "GET / HTTP/1.0\r\n\r\n", strings.Repeat("\xff", 4096)} {
		c, err := net.DialTimeout("tcp", net.JoinHostPort(i.host, port), patience)
		must(i.t, err)
		must(i.t, c.SetDeadline(time.Now().Add(patience)))
		_, _ = fmt.Fprint(c, text) // which may be refused before it is all there
		must(i.t, c.Close())
	}
}
