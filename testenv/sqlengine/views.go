package sqlengine

import (
	"database/sql/driver"
	"slices"
	"strconv"
	"strings"
)

// A relation is the content of a dictionary or V$ view at one moment.
type relation struct {
	columns []resultColumn
	rows    [][]driver.Value
}

// sql writes the relation as a query.
func (r *relation) sql() string {
	if len(r.rows) == 0 {
		empty := make([]string, len(r.columns))
		for i := range empty {
			empty[i] = "NULL"
		}
		return "SELECT " + asColumns(empty) + " WHERE 0"
	}
	var b strings.Builder
	names := make([]string, len(r.columns))
	for i := range names {
		names[i] = "column" + strconv.Itoa(i+1)
	}
	b.WriteString("SELECT " + asColumns(names) + " FROM (VALUES ")
	for i, row := range r.rows {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('(')
		for j, v := range row {
			if j > 0 {
				b.WriteByte(',')
			}
			b.WriteString(storedLiteral(v))
		}
		b.WriteByte(')')
	}
	b.WriteByte(')')
	return b.String()
}

// newRelation takes columns as "NAME" for text, "NAME#" for numbers and "NAME@" for dates.
func newRelation(columns string) *relation {
	r := &relation{}
	for _, c := range strings.Fields(columns) {
		t := textOf(128)
		switch c[len(c)-1] {
		case '#':
			t, c = ofKind(kindNumber), c[:len(c)-1]
		case '@':
			t, c = ofKind(kindDate), c[:len(c)-1]
		}
		r.columns = append(r.columns, resultColumn{c, t})
	}
	return r
}

// add adds a row of strings, ints and stored values.
func (r *relation) add(values ...any) {
	row := make([]driver.Value, len(values))
	for i, v := range values {
		switch v := v.(type) {
		case string:
			row[i] = orNull(v)
		case int:
			row[i] = encodeNumber(decimalOf(int64(v)))
		default:
			row[i] = v
		}
	}
	r.rows = append(r.rows, row)
}

// systemView gives the content of a view of the dictionary or the instance.
func systemView(s *Session, d *dictionary, name string) (*relation, bool) {
	name = strings.Replace(name, "V_$", "V$", 1)
	if strings.HasPrefix(name, "GV$") {
		name = name[1:]
	}
	switch name {
	case "DUAL":
		r := newRelation("DUMMY")
		r.add("X")
		r.columns[0].typ.Size = 1
		return r, true
	case "GLOBAL_NAME":
		r := newRelation("GLOBAL_NAME")
		r.add(s.engine.DatabaseName)
		return r, true
	case "NLS_SESSION_PARAMETERS", "V$NLS_PARAMETERS":
		return nlsParameters(s.settings), true
	case "NLS_DATABASE_PARAMETERS", "NLS_INSTANCE_PARAMETERS":
		return nlsParameters(databaseSettings()), true
	}
	if r, found := instanceView(s, name); found {
		return r, true
	}
	return dictionaryView(s, d, name)
}

func nlsParameters(from settings) *relation {
	r := newRelation("PARAMETER VALUE")
	names := make([]string, 0, len(from))
	for name := range from {
		if strings.HasPrefix(name, "NLS_") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		r.add(name, from[name])
	}
	return r
}

// banner is the first line of V$VERSION.
const banner = "Oracle Database 19c Test Database Release " + version + " - Development"

// instanceView gives the V$ views.
func instanceView(s *Session, name string) (*relation, bool) {
	id := &s.identity
	started := encodeTime(moment{s.engine.started.UTC(), dateOnly})
	switch name {
	case "V$INSTANCE":
		r := newRelation("INSTANCE_NUMBER# INSTANCE_NAME HOST_NAME VERSION STARTUP_TIME@ STATUS PARALLEL THREAD## LOGINS DATABASE_STATUS INSTANCE_ROLE ACTIVE_STATE VERSION_FULL")
		r.add(1, id.Instance, id.ServerHost, version, started, "OPEN", "NO", 1, "ALLOWED", "ACTIVE", "PRIMARY_INSTANCE", "NORMAL", version)
		return r, true
	case "V$DATABASE":
		r := newRelation("DBID# NAME CREATED@ LOG_MODE OPEN_MODE DATABASE_ROLE DB_UNIQUE_NAME CDB PLATFORM_NAME")
		r.add(1, s.engine.DatabaseName, started, "NOARCHIVELOG", "READ WRITE", "PRIMARY", s.engine.DatabaseName, "NO", "Linux x86 64-bit")
		return r, true
	case "V$VERSION":
		r := newRelation("BANNER BANNER_FULL BANNER_LEGACY CON_ID#")
		r.add(banner, banner, banner, 0)
		return r, true
	case "PRODUCT_COMPONENT_VERSION":
		r := newRelation("PRODUCT VERSION STATUS VERSION_FULL")
		r.add("Oracle Database 19c Test Database ", version, "Development", version)
		return r, true
	case "V$SESSION":
		return sessionView(s), true
	case "V$MYSTAT":
		r := newRelation("SID# STATISTIC## VALUE#")
		r.add(s.number(), 0, 0)
		return r, true
	case "V$PARAMETER", "V$SYSTEM_PARAMETER":
		r := newRelation("NAME VALUE DISPLAY_VALUE ISDEFAULT")
		for _, p := range [][2]string{
			{"compatible", "19.0.0"}, {"db_name", s.engine.DatabaseName}, {"instance_name", id.Instance},
			{"max_string_size", "EXTENDED"}, {"open_cursors", "1000"}, {"service_names", id.Service},
		} {
			r.add(p[0], p[1], p[1], "TRUE")
		}
		return r, true
	case "V$TRANSACTION":
		r := newRelation("ADDR STATUS")
		if s.InTransaction() {
			r.add(strconv.FormatInt(s.key, 16), "ACTIVE")
		}
		return r, true
	case "V$ACTIVE_SERVICES", "V$SERVICES":
		r := newRelation("NAME NETWORK_NAME")
		r.add(id.Service, id.Service)
		return r, true
	case "V$PROCESS":
		r := newRelation("ADDR PID# SPID")
		r.add(strconv.FormatInt(s.key, 16), s.number(), strconv.Itoa(s.number()))
		return r, true
	}
	return nil, false
}

// number is the session's number, SID in V$SESSION.
func (s *Session) number() int {
	if s.identity.SessionID != 0 {
		return s.identity.SessionID
	}
	return int(s.key)
}

// sessionView lists the engine's sessions. What others' conversations may be changing is left to them.
func sessionView(s *Session) *relation {
	r := newRelation("SADDR SID# SERIAL## AUDSID# USER## USERNAME SCHEMANAME STATUS SERVER SERVICE_NAME OSUSER MACHINE TERMINAL PROGRAM TYPE MODULE ACTION CLIENT_INFO CLIENT_IDENTIFIER LOGON_TIME@ INST_ID# PADDR")
	for _, o := range s.engine.snapshot() {
		status := "INACTIVE"
		if o.key == s.key {
			o.Identity, status = s.identity, "ACTIVE"
		}
		address := strconv.FormatInt(o.key, 16)
		r.add(address, orDefault(o.SessionID, int(o.key)), max(1, o.Serial), int(o.key), int(userID(o.User)), o.User, o.Schema, status, "DEDICATED", o.Service,
			o.OSUser, o.Machine, o.Terminal, o.Program, "USER", o.Module, o.Action, o.ClientInfo, o.ClientIdentifier,
			encodeTime(moment{o.started.UTC(), dateOnly}), 1, address)
	}
	return r
}
