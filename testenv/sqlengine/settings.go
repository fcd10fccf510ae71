package sqlengine

import (
	"context"
	"database/sql/driver"
	"strconv"
	"strings"
	"time"
)

// settings are what ALTER SESSION changes, by upper-case name.
type settings map[string]string

func defaultSettings() settings {
	return settings{
		"NLS_DATE_FORMAT":         "DD-MON-RR",
		"NLS_TIMESTAMP_FORMAT":    "DD-MON-RR HH.MI.SSXFF AM",
		"NLS_TIMESTAMP_TZ_FORMAT": "DD-MON-RR HH.MI.SSXFF AM TZR",
		"NLS_LANGUAGE":            "AMERICAN",
		"NLS_TERRITORY":           "AMERICA",
		"NLS_CURRENCY":            "$",
		"NLS_ISO_CURRENCY":        "AMERICA",
		"NLS_NUMERIC_CHARACTERS":  ".,",
		"NLS_CALENDAR":            "GREGORIAN",
		"NLS_DATE_LANGUAGE":       "AMERICAN",
		"NLS_SORT":                "BINARY",
		"NLS_COMP":                "BINARY",
		"NLS_TIME_FORMAT":         "HH.MI.SSXFF AM",
		"NLS_TIME_TZ_FORMAT":      "HH.MI.SSXFF AM TZR",
		"NLS_DUAL_CURRENCY":       "$",
		"NLS_LENGTH_SEMANTICS":    "BYTE",
		"NLS_NCHAR_CONV_EXCP":     "FALSE",
		"TIME_ZONE":               "+00:00",
	}
}

// databaseSettings are the settings of the database, which no session changes.
func databaseSettings() settings {
	s := defaultSettings()
	delete(s, "TIME_ZONE")
	s["NLS_CHARACTERSET"], s["NLS_NCHAR_CHARACTERSET"], s["NLS_RDBMS_VERSION"] = "AL32UTF8", "AL16UTF16", version
	return s
}

// version is what the database says it is.
const version = "19.0.0.0.0"

// zone is the session's time zone.
func (s *Session) zone() *time.Location {
	zone, err := parseZone(s.settings["TIME_ZONE"])
	if err != nil {
		return time.UTC
	}
	return zone
}

// parseZone reads an offset as "+01:00", or a region such as "Europe/Berlin".
func parseZone(text string) (*time.Location, error) {
	text = strings.TrimSpace(text)
	switch strings.ToUpper(text) {
	case "LOCAL", "DBTIMEZONE", "UTC", "GMT", "Z", "":
		return zoneOf(0), nil
	}
	if text[0] == '+' || text[0] == '-' || isDigit(text[0]) {
		m, err := parseTime("2000-01-01 "+text, "YYYY-MM-DD TZR", timestampTZ, time.Time{})
		if err != nil {
			return nil, failure(1882, "timezone region not found")
		}
		_, offset := m.Zone()
		return zoneOf(offset / 60), nil
	}
	zone, err := time.LoadLocation(text)
	if err != nil {
		return nil, failure(1882, "timezone region not found")
	}
	return zone, nil
}

// special gives what a statement takes from the session or the moment: see compiler.special.
func (s *Session) special(name string, now time.Time) driver.Value {
	if format, found := strings.CutPrefix(name, "format:"); found {
		return s.settings["NLS_"+format+"_FORMAT"]
	}
	local := now.In(s.zone())
	_, offset := local.Zone()
	local = now.In(zoneOf(offset / 60))
	wall := time.Date(local.Year(), local.Month(), local.Day(), local.Hour(), local.Minute(), local.Second(), local.Nanosecond(), time.UTC)
	switch name {
	case "session":
		return s.key
	case "zone":
		return local.Location().String()
	case "SYSDATE":
		return encodeTime(moment{now.UTC(), dateOnly})
	case "CURRENT_DATE":
		return encodeTime(moment{wall, dateOnly})
	case "SYSTIMESTAMP":
		return encodeTime(moment{now.In(zoneOf(0)).Truncate(time.Microsecond), timestampTZ})
	case "CURRENT_TIMESTAMP":
		return encodeTime(moment{local.Truncate(time.Microsecond), timestampTZ})
	case "LOCALTIMESTAMP":
		return encodeTime(moment{wall.Truncate(time.Microsecond), timestamp})
	case "USER", "ORA_INVOKING_USER":
		return orNull(s.identity.User)
	case "UID":
		return encodeNumber(decimalOf(userID(s.identity.User)))
	case "DBTIMEZONE":
		return "+00:00"
	case "SESSIONTIMEZONE":
		return s.settings["TIME_ZONE"]
	case "EMPTY_CLOB":
		return ""
	case "SQL%ROWCOUNT", "SQL%FOUND", "SQL%NOTFOUND", "SQLCODE", "SQLERRM":
		return s.block.special(name)
	case "transaction":
		if s.InTransaction() {
			return "1.1." + decimalOf(s.key).String()
		}
	}
	return nil
}

// special gives what PL/SQL knows of the last statement and the exception being handled.
func (b *blockState) special(name string) driver.Value {
	if b == nil {
		return nil
	}
	switch name {
	case "SQL%ROWCOUNT":
		return encodeNumber(decimalOf(b.rowCount))
	case "SQL%FOUND":
		return b.rowCount > 0
	case "SQL%NOTFOUND":
		return b.rowCount == 0
	case "SQLCODE":
		return encodeNumber(decimalOf(int64(b.code)))
	}
	return orDefaultText(b.message, "ORA-0000: normal, successful completion")
}

func orDefaultText(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// userID makes up a user's number.
func userID(user string) int64 {
	n := int64(0)
	for _, r := range user {
		n = (n*31 + int64(r)) % 9000
	}
	return 100 + n
}

func orNull(text string) driver.Value {
	if text == "" {
		return nil
	}
	return text
}

// alter carries out ALTER SESSION SET name = value.
func (s *Session) alter(_ context.Context, name, value string) *Error {
	switch name {
	case "CURRENT_SCHEMA":
		s.identity.Schema = value
		return nil
	case "TIME_ZONE":
		zone, err := parseZone(value)
		if err != nil {
			return ownError(err)
		}
		if strings.HasPrefix(zone.String(), "+") || strings.HasPrefix(zone.String(), "-") {
			value = zone.String()
		}
	case "NLS_DATE_FORMAT", "NLS_TIMESTAMP_FORMAT", "NLS_TIMESTAMP_TZ_FORMAT":
		if _, err := parseTimeModel(value); err != nil {
			return ownError(err)
		}
	}
	s.settings[name] = value
	return nil
}

// userEnvironment answers SYS_CONTEXT('USERENV', name); found is false for a name that does not exist.
func (s *Session) userEnvironment(name string) (value string, found bool) {
	id := &s.identity
	zero := map[string]string{
		"INSTANCE_NAME": id.Instance, "SERVICE_NAME": id.Service, "SERVER_HOST": id.ServerHost, "HOST": id.Machine,
		"SID": strconv.Itoa(s.number()), "CURRENT_USER": id.User, "SESSION_USER": id.User,
		"PROXY_USER": id.ProxyUser, "CURRENT_SCHEMA": id.Schema, "IP_ADDRESS": id.ClientAddress,
		"DB_NAME": s.engine.DatabaseName, "DB_UNIQUE_NAME": s.engine.DatabaseName, "CON_NAME": s.engine.DatabaseName,
		"CDB_NAME": s.engine.DatabaseName, "CON_ID": "0", "DB_DOMAIN": "", "MODULE": id.Module, "ACTION": id.Action,
		"CLIENT_INFO": id.ClientInfo, "CLIENT_IDENTIFIER": id.ClientIdentifier, "OS_USER": id.OSUser,
		"SESSIONID": decimalOf(s.key).String(), "TERMINAL": id.Terminal, "INSTANCE": "1", "DATABASE_ROLE": "PRIMARY",
		"CLIENT_PROGRAM_NAME": id.Program, "LANGUAGE": "AMERICAN_AMERICA.AL32UTF8", "LANG": "US", "ISDBA": "FALSE",
		"NETWORK_PROTOCOL": "tcp", "AUTHENTICATION_METHOD": "PASSWORD", "AUTHENTICATED_IDENTITY": id.User,
		"CURRENT_USERID": decimalOf(userID(id.User)).String(), "SESSION_USERID": decimalOf(userID(id.User)).String(),
		"CURRENT_SCHEMAID": decimalOf(userID(id.Schema)).String(), "CURRENT_EDITION_NAME": "ORA$BASE",
		"SESSION_EDITION_NAME": "ORA$BASE", "ENTRYID": "1", "STATEMENTID": "1", "BG_JOB_ID": "", "FG_JOB_ID": "0",
		"NLS_TERRITORY": s.settings["NLS_TERRITORY"], "NLS_DATE_FORMAT": s.settings["NLS_DATE_FORMAT"],
		"NLS_CALENDAR": s.settings["NLS_CALENDAR"], "NLS_CURRENCY": s.settings["NLS_CURRENCY"],
		"NLS_DATE_LANGUAGE": s.settings["NLS_DATE_LANGUAGE"], "NLS_SORT": s.settings["NLS_SORT"],
		"PLATFORM_SLASH": "/", "ORACLE_HOME": "", "PID": "", "IDENTIFICATION_TYPE": "LOCAL", "POLICY_INVOKER": "",
		"ENTERPRISE_IDENTITY": "", "GLOBAL_UID": "", "SESSION_DEFAULT_COLLATION": "USING_NLS_COMP",
	}
	value, found = zero[strings.ToUpper(name)]
	return value, found
}
