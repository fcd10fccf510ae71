package ttcserver

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"servicebroker/testenv/sqlengine"
	"servicebroker/ttc"
)

// authentication is a login under way.
type authentication struct {
	challenge *ttc.Challenge
	user      string // as the database knows it
	known     bool
	done      bool
}

const textWrongPassword = "invalid username/password; logon denied"

// userName is a name as the database stores it: upper case unless quoted.
func userName(name string) string {
	if len(name) >= 2 && strings.HasPrefix(name, `"`) && strings.HasSuffix(name, `"`) {
		return name[1 : len(name)-1]
	}
	return strings.ToUpper(name)
}

// authenticate handles what a client may say before it is logged in.
func (c *conversation) authenticate(ctx context.Context, h ttc.Header) error {
	if h.Message != ttc.MessageFunction || h.Function != ttc.FunctionAuthOne && h.Function != ttc.FunctionAuthTwo {
		return c.fatal(1012, "not logged on")
	}
	c.sequence = h.Sequence
	var m ttc.Auth
	m.Decode(c.in, c.dialect)
	if err := c.in.Err(); err != nil {
		return err
	}
	if h.Function == ttc.FunctionAuthOne {
		return c.phaseOne(ctx, &m, c.dialect)
	}
	return c.phaseTwo(ctx, &m)
}

// phaseOne answers with a challenge, also for users that do not exist.
func (c *conversation) phaseOne(_ context.Context, m *ttc.Auth, d ttc.Dialect) error {
	c.describeClient(m)
	auth := &authentication{user: userName(m.User)}
	verifier, known := ttc.Verifier{}, false
	if c.server.Authenticate != nil {
		verifier, known = c.server.Authenticate(auth.user)
	}
	if !known {
		kind := ttc.Verifier12c
		if c.server.Dialect.ClassicVerifier {
			kind = ttc.Verifier11g
		}
		verifier = ttc.NewFakeVerifier(kind, auth.user, c.server.sessions.fakeSecret())
	}
	auth.known = known
	auth.challenge = ttc.NewChallenge(verifier, c.server.Dialect.ClassicVerifier)
	c.auth = auth
	reply := ttc.AuthReply{Pairs: auth.challenge.Pairs()}
	c.out.buf = reply.AppendTo(c.out.buf, d)
	c.out.buf = (&ttc.CallEnd{Sequence: 1, Call: c.sequence}).AppendTo(c.out.buf, d)
	return c.out.finish()
}

// describeClient takes what a login tells of the client.
func (c *conversation) describeClient(m *ttc.Auth) {
	for _, field := range []struct {
		key    string
		target *string
	}{
		{ttc.KeyTerminal, &c.login.Terminal}, {ttc.KeyProgram, &c.login.Program}, {ttc.KeyMachine, &c.login.Machine},
		{ttc.KeyProcess, &c.login.Process}, {ttc.KeyOSUser, &c.login.OSUser}, {ttc.KeyDriverName, &c.login.Driver},
		{ttc.KeyConnectionClass, &c.login.ConnectionClass},
	} {
		if value := m.Value(field.key); value != "" {
			*field.target = value
		}
	}
	if m.Value(ttc.KeyPurity) == "1" && c.login.Boundary == "" {
		c.login.PurityNew = true
	}
}

// phaseTwo checks the password and opens the session.
func (c *conversation) phaseTwo(ctx context.Context, m *ttc.Auth) error {
	if c.auth == nil {
		return c.fatal(1017, textWrongPassword)
	}
	proof, newPassword, err := c.auth.challenge.Check(m)
	if err != nil || !c.auth.known {
		c.log.Info("login denied", "user", c.auth.user)
		return c.fatal(1017, textWrongPassword)
	}
	if newPassword != "" {
		return c.fatal(1031, "insufficient privileges: passwords cannot be changed here")
	}
	c.describeClient(m)
	c.login.User = c.auth.user
	if proxied := userName(m.Value(ttc.KeyProxyClient)); proxied != "" {
		if !c.mayProxy(proxied) {
			return c.fatal(28150, "proxy not authorized to connect as client")
		}
		c.login.User, c.login.ProxyUser = proxied, c.auth.user
	}
	if _, err := c.acquire(ctx); err != nil {
		return c.fatal(errorCode(err), errorText(err))
	}
	c.alterSession(ctx, m.Value(ttc.KeyAlterSession))
	c.auth.done = true
	c.in.Limit = maxRequest
	c.conn.NetConn().SetReadDeadline(time.Time{})
	c.log.Debug("logged in", "user", c.login.User, "session", c.session.id, "driver", c.login.Driver)

	reply := ttc.AuthReply{Pairs: c.sessionPairs(proof)}
	c.out.buf = reply.AppendTo(c.out.buf, c.dialect)
	language := ttc.SessionSync{Properties: []ttc.Property{{Keyword: ttc.KeywordLanguage, Value: "AMERICAN"}}}
	c.out.buf = language.AppendTo(c.out.buf, c.dialect)
	return c.done(ttc.CallEnd{})
}

func (c *conversation) mayProxy(proxied string) bool {
	if may := c.server.MayProxy; may != nil {
		return may(c.auth.user, proxied)
	}
	_, known := c.server.Authenticate(proxied)
	return known
}

// alterSession runs the statement a driver wants run at login. It sets the
// time zone and other conventions, without which the session is of use too.
func (c *conversation) alterSession(ctx context.Context, sql string) {
	if strings.TrimSpace(sql) == "" {
		return
	}
	statement, err := c.session.engine.Prepare(sql)
	if err == nil && statement.Kind() == sqlengine.KindOther {
		_, err = statement.Execute(ctx, nil)
		statement.Close()
	}
	if err != nil {
		c.log.Info("the statement for the start of the session failed", "statement", sql, "error", err)
	}
}

// sessionPairs is what the client is told of its session (ttc.md 7).
func (c *conversation) sessionPairs(proof string) []ttc.Pair {
	id := c.server.Identity.withDefaults()
	pairs := []ttc.Pair{
		{Key: ttc.KeyVersionNumber, Value: strconv.FormatUint(uint64(id.packedRelease(c.dialect.HasVersion18())), 10)},
		{Key: ttc.KeySessionID, Value: strconv.Itoa(c.session.id)},
		{Key: ttc.KeySerial, Value: strconv.Itoa(c.session.serial)},
		{Key: ttc.KeyServerResponse, Value: proof},
	}
	for _, p := range [][2]string{
		{"AUTH_DB_MOUNT_ID", "1903190319"}, // some drivers insist on one (ttc.md 12)
		{"AUTH_DB_ID", "1903190319"},
		{"AUTH_MAX_OPEN_CURSORS", strconv.Itoa(maxCursors)},
		{"AUTH_MAX_IDEN_LENGTH", "128"},
		{"AUTH_VERSION_STRING", "- Test"},
		{"AUTH_VERSION_SQL", "25"},
		{"AUTH_XACTION_TRAITS", "3"},
		{"AUTH_DBNAME", id.Database},
		{"AUTH_INSTANCENAME", id.Instance},
		{"AUTH_INSTANCE_NO", "1"},
		{"AUTH_SC_INSTANCE_NAME", id.Instance},
		{"AUTH_SC_SERVICE_NAME", c.login.Service},
		{"AUTH_SC_SERVER_HOST", id.Host},
		{"AUTH_SC_DBUNIQUE_NAME", id.UniqueName},
		{"AUTH_SC_REAL_DBUNIQUE_NAME", id.UniqueName},
		{"AUTH_SC_DB_DOMAIN", id.Domain},
		{"AUTH_SERVER_PID", strconv.Itoa(os.Getpid())},
		{"AUTH_SERVER_TYPE", "1"},
		{"AUTH_NLS_LXLAN", "AMERICAN"},
		{"AUTH_NLS_LXCTERRITORY", "AMERICA"},
		{"AUTH_NLS_LXCCURRENCY", "$"},
		{"AUTH_NLS_LXCISOCURR", "AMERICA"},
		{"AUTH_NLS_LXCNUMERICS", ".,"},
		{"AUTH_NLS_LXCDATEFM", "DD-MON-RR"},
		{"AUTH_NLS_LXCDATELANG", "AMERICAN"},
		{"AUTH_NLS_LXCSORT", "BINARY"},
		{"AUTH_NLS_LXCCALENDAR", "GREGORIAN"},
		{"AUTH_NLS_LXCUNIONCUR", "$"},
		{"AUTH_NLS_LXCTIMEFM", "HH.MI.SSXFF AM"},
		{"AUTH_NLS_LXCSTMPFM", "DD-MON-RR HH.MI.SSXFF AM"},
		{"AUTH_NLS_LXCTTZNFM", "HH.MI.SSXFF AM TZR"},
		{"AUTH_NLS_LXCSTZNFM", "DD-MON-RR HH.MI.SSXFF AM TZR"},
	} {
		pairs = append(pairs, ttc.Pair{Key: p[0], Value: p[1]})
	}
	return pairs
}

// withDefaults fills in what the zero values stand for.
func (id Identity) withDefaults() Identity {
	if id.Instance == "" {
		id.Instance = "TESTDB"
	}
	if id.Database == "" {
		id.Database = id.Instance
	}
	if id.UniqueName == "" {
		id.UniqueName = id.Database
	}
	if id.Host == "" {
		id.Host, _ = os.Hostname()
	}
	if id.Release == [5]byte{} {
		id.Release = [5]byte{19}
	}
	return id
}

// packedRelease packs the release number: with bytes and half bytes of one
// pattern since 18c, of another before (ttc.md 7).
func (id Identity) packedRelease(since18 bool) uint32 {
	r := id.Release
	if since18 {
		return uint32(r[0])<<24 | uint32(r[1])<<16 | uint32(r[2]&15)<<12 | uint32(r[3])<<4 | uint32(r[4]&15)
	}
	return uint32(r[0])<<24 | uint32(r[1]&15)<<20 | uint32(r[2]&15)<<12 | uint32(r[3]&15)<<8 | uint32(r[4])
}

// banner is what the version call tells.
func (id Identity) banner() string {
	r := id.Release
	return strings.TrimSpace(fmt.Sprintf("Test Database Release %d.%d.%d.%d.%d %s", r[0], r[1], r[2], r[3], r[4], id.BannerSuffix))
}

// fakeSecret is what the verifiers of unknown users are made of.
func (l *sessionList) fakeSecret() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.secret == nil {
		l.secret = make([]byte, 32)
		rand.Read(l.secret)
	}
	return l.secret
}
