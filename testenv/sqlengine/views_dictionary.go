package sqlengine

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// dictionaryView gives the USER_, ALL_ and DBA_ views.
func dictionaryView(s *Session, d *dictionary, name string) (*relation, bool) {
	scope, rest, found := strings.Cut(name, "_")
	if !found || scope != "USER" && scope != "ALL" && scope != "DBA" {
		switch name {
		case "CAT", "TAB", "COLS":
			scope, rest = "USER", map[string]string{"CAT": "CATALOG", "TAB": "TABLES", "COLS": "TAB_COLUMNS"}[name]
		case "SESSION_PRIVS":
			r := newRelation("PRIVILEGE")
			for _, p := range [...]string{"CREATE SESSION", "CREATE TABLE", "CREATE VIEW", "CREATE SEQUENCE", "CREATE SYNONYM"} {
				r.add(p)
			}
			return r, true
		case "SESSION_ROLES":
			r := newRelation("ROLE")
			r.add("CONNECT")
			r.add("RESOURCE")
			return r, true
		default:
			return nil, false
		}
	}
	v := dictionaryReader{session: s, dictionary: d, own: scope == "USER"}
	build := map[string]func() *relation{
		"TABLES": v.tables, "OBJECTS": v.objects, "TAB_COLUMNS": v.columns, "TAB_COLS": v.columns, "VIEWS": v.views,
		"SEQUENCES": v.sequences, "INDEXES": v.indexes, "CONSTRAINTS": v.constraints, "CONS_COLUMNS": v.constraintColumns,
		"SYNONYMS": v.synonyms, "USERS": v.users, "CATALOG": v.catalog, "ERRORS": v.nothing("NAME TYPE LINE# POSITION# TEXT"),
		"PROCEDURES": v.nothing("OBJECT_NAME PROCEDURE_NAME"), "SOURCE": v.nothing("NAME TYPE LINE# TEXT"),
		"TAB_COMMENTS": v.nothing("TABLE_NAME TABLE_TYPE COMMENTS"), "COL_COMMENTS": v.nothing("TABLE_NAME COLUMN_NAME COMMENTS"),
		"TYPES": v.nothing("TYPE_NAME"), "IND_COLUMNS": v.indexColumns,
	}[rest]
	if build == nil {
		return nil, false
	}
	r := build()
	if v.own && rest != "USERS" { // USER_ views have no OWNER
		if i := slices.IndexFunc(r.columns, func(c resultColumn) bool { return c.name == "OWNER" }); i >= 0 {
			r.columns = slices.Delete(r.columns, i, i+1)
			for j := range r.rows {
				r.rows[j] = slices.Delete(r.rows[j], i, i+1)
			}
		}
	}
	return r, true
}

type dictionaryReader struct {
	session    *Session
	dictionary *dictionary
	own        bool
}

// visible are the objects the view shows.
func (v dictionaryReader) visible() []*object {
	return slices.DeleteFunc(v.dictionary.sorted(), func(o *object) bool { return v.own && o.Owner != v.session.identity.User })
}

func (v dictionaryReader) nothing(columns string) func() *relation {
	return func() *relation { return newRelation("OWNER " + columns) }
}

func (v dictionaryReader) tables() *relation {
	r := newRelation("OWNER TABLE_NAME TABLESPACE_NAME STATUS NUM_ROWS# TEMPORARY NESTED DROPPED")
	for _, o := range v.visible() {
		if o.Table != nil {
			r.add(o.Owner, o.Name, "USERS", "VALID", nil, yesNo(o.Table.Temporary)[:1], "NO", "NO")
		}
	}
	return r
}

func yesNo(b bool) string {
	if b {
		return "YES"
	}
	return "NO"
}

func (v dictionaryReader) objects() *relation {
	r := newRelation("OWNER OBJECT_NAME SUBOBJECT_NAME OBJECT_ID# OBJECT_TYPE CREATED@ LAST_DDL_TIME@ STATUS TEMPORARY GENERATED")
	for _, o := range v.visible() {
		created, _ := time.Parse(time.RFC3339, o.Created)
		at := encodeTime(moment{created.UTC(), dateOnly})
		r.add(o.Owner, o.Name, "", o.ID, o.kind(), at, at, "VALID", "N", "N")
	}
	return r
}

func (v dictionaryReader) catalog() *relation {
	r := newRelation("OWNER TABLE_NAME TABLE_TYPE")
	for _, o := range v.visible() {
		if o.Index == nil {
			r.add(o.Owner, o.Name, o.kind())
		}
	}
	return r
}

func (v dictionaryReader) columns() *relation {
	r := newRelation("OWNER TABLE_NAME COLUMN_NAME DATA_TYPE DATA_LENGTH# DATA_PRECISION# DATA_SCALE# NULLABLE COLUMN_ID# DATA_DEFAULT CHAR_LENGTH# CHAR_USED IDENTITY_COLUMN")
	for _, o := range v.visible() {
		if o.Table == nil {
			continue
		}
		for i, c := range o.Table.Columns {
			var precision, scale any
			if c.Type.Precision > 0 {
				precision, scale = c.Type.Precision, c.Type.Scale
			}
			length, characters, used := storedLength(c.Type), 0, ""
			if c.Type.Kind == kindVarchar || c.Type.Kind == kindChar {
				characters, used = c.Type.Size, "B"
			}
			r.add(o.Owner, o.Name, c.Name, c.Type.declared(), length, precision, scale, map[bool]string{true: "N", false: "Y"}[c.Type.NotNull],
				i+1, c.Default, characters, used, yesNo(c.Identity != ""))
		}
	}
	return r
}

// declared is a column's type as DATA_TYPE shows it.
func (t datatype) declared() string {
	switch t.Kind {
	case kindTimestamp:
		return fmt.Sprintf("TIMESTAMP(%d)", t.Scale)
	case kindTimestampTZ:
		if t.Local {
			return fmt.Sprintf("TIMESTAMP(%d) WITH LOCAL TIME ZONE", t.Scale)
		}
		return fmt.Sprintf("TIMESTAMP(%d) WITH TIME ZONE", t.Scale)
	}
	return kindName(t.Kind)
}

// storedLength is what DATA_LENGTH shows.
func storedLength(t datatype) int {
	switch t.Kind {
	case kindNumber:
		return 22
	case kindDate:
		return 7
	case kindTimestamp:
		return 11
	case kindTimestampTZ:
		return 13
	case kindFloat:
		return 4
	case kindDouble:
		return 8
	case kindCLOB, kindBLOB:
		return 4000
	}
	return t.Size
}

func (v dictionaryReader) views() *relation {
	r := newRelation("OWNER VIEW_NAME TEXT_LENGTH# TEXT TEXT_VC")
	for _, o := range v.visible() {
		if o.View != nil {
			r.add(o.Owner, o.Name, len(o.View.Text), o.View.Text, o.View.Text)
		}
	}
	return r
}

func (v dictionaryReader) sequences() *relation {
	r := newRelation("OWNER SEQUENCE_OWNER SEQUENCE_NAME MIN_VALUE# MAX_VALUE# INCREMENT_BY# CYCLE_FLAG ORDER_FLAG CACHE_SIZE# LAST_NUMBER#")
	for _, o := range v.visible() {
		if o.Sequence == nil {
			continue
		}
		l, err := o.Sequence.limits()
		if err != nil {
			continue
		}
		r.add(o.Owner, o.Owner, o.Name, encodeNumber(l.low), encodeNumber(l.high), encodeNumber(l.increment), yesNo(o.Sequence.Cycle)[:1], "N",
			o.Sequence.Cache, encodeNumber(l.start))
	}
	return r
}

func (v dictionaryReader) indexes() *relation {
	r := newRelation("OWNER INDEX_NAME INDEX_TYPE TABLE_OWNER TABLE_NAME UNIQUENESS STATUS")
	for _, o := range v.visible() {
		if o.Index != nil {
			r.add(o.Owner, o.Name, "NORMAL", o.Index.Table[0], o.Index.Table[1], uniqueness(o.Index.Unique), "VALID")
		}
		for _, c := range o.keys() {
			r.add(o.Owner, c.Name, "NORMAL", o.Owner, o.Name, uniqueness(true), "VALID")
		}
	}
	return r
}

func uniqueness(unique bool) string {
	if unique {
		return "UNIQUE"
	}
	return "NONUNIQUE"
}

// keys are the constraints of a table that have an index.
func (o *object) keys() []constraint {
	if o.Table == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(o.Table.Constraints), func(c constraint) bool { return c.Kind != "P" && c.Kind != "U" })
}

func (v dictionaryReader) indexColumns() *relation {
	r := newRelation("OWNER INDEX_OWNER INDEX_NAME TABLE_OWNER TABLE_NAME COLUMN_NAME COLUMN_POSITION# DESCEND")
	add := func(o *object, index string, table [2]string, columns []string) {
		for i, c := range columns {
			r.add(o.Owner, o.Owner, index, table[0], table[1], c, i+1, "ASC")
		}
	}
	for _, o := range v.visible() {
		if o.Index != nil {
			add(o, o.Name, o.Index.Table, o.Index.Columns)
		}
		for _, c := range o.keys() {
			add(o, c.Name, [2]string{o.Owner, o.Name}, c.Columns)
		}
	}
	return r
}

func (v dictionaryReader) constraints() *relation {
	r := newRelation("OWNER CONSTRAINT_NAME CONSTRAINT_TYPE TABLE_NAME SEARCH_CONDITION R_OWNER R_CONSTRAINT_NAME DELETE_RULE STATUS")
	for _, o := range v.visible() {
		if o.Table == nil {
			continue
		}
		for _, c := range o.Table.Constraints {
			if c.Kind == "I" {
				continue
			}
			rule, parentKey := "", ""
			if c.Kind == "R" {
				rule = map[string]string{"": "NO ACTION", "CASCADE": "CASCADE", "SET NULL": "SET NULL"}[c.OnDelete]
				if parent := v.dictionary.objects[c.Parent]; parent != nil {
					for _, k := range parent.keys() {
						if slices.Equal(k.Columns, c.ParentColumns) {
							parentKey = k.Name
						}
					}
				}
			}
			r.add(o.Owner, c.Name, c.Kind, o.Name, c.Check, c.Parent[0], parentKey, rule, "ENABLED")
		}
	}
	return r
}

func (v dictionaryReader) constraintColumns() *relation {
	r := newRelation("OWNER CONSTRAINT_NAME TABLE_NAME COLUMN_NAME POSITION#")
	for _, o := range v.visible() {
		if o.Table == nil {
			continue
		}
		for _, c := range o.Table.Constraints {
			for i, column := range c.Columns {
				if c.Kind != "I" {
					r.add(o.Owner, c.Name, o.Name, column, i+1)
				}
			}
		}
	}
	return r
}

func (v dictionaryReader) synonyms() *relation {
	r := newRelation("OWNER SYNONYM_NAME TABLE_OWNER TABLE_NAME DB_LINK")
	for _, o := range v.visible() {
		if o.Synonym != nil {
			r.add(o.Owner, o.Name, o.Synonym.Owner, o.Synonym.Name, "")
		}
	}
	return r
}

func (v dictionaryReader) users() *relation {
	r := newRelation("USERNAME USER_ID# CREATED@ ACCOUNT_STATUS DEFAULT_TABLESPACE TEMPORARY_TABLESPACE")
	names := []string{v.session.identity.User}
	if !v.own {
		for _, o := range v.dictionary.sorted() {
			names = append(names, o.Owner)
		}
	}
	slices.Sort(names)
	started := encodeTime(moment{v.session.engine.started.UTC(), dateOnly})
	for _, n := range slices.Compact(names) {
		r.add(n, int(userID(n)), started, "OPEN", "USERS", "TEMP")
	}
	return r
}
