package sqlengine

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// The dictionary says what tables, views, sequences and indexes there are, in Oracle's terms. Each is one JSON row of
// the SQLite table "ora$objects"; "ora$state" holds a version that every DDL raises. A table's SQLite table and columns
// have made-up names (t20001, c1) and no types: types, NOT NULL and defaults are enforced by what DML is translated
// to, keys by unique indexes, checks and foreign keys by triggers, so that all of them can be altered and renamed.
const dictionarySchema = `
CREATE TABLE IF NOT EXISTS "ora$state" (id INTEGER PRIMARY KEY, version INTEGER NOT NULL, next_id INTEGER NOT NULL);
INSERT OR IGNORE INTO "ora$state" VALUES (1, 0, 20000);
CREATE TABLE IF NOT EXISTS "ora$objects" (
	owner TEXT NOT NULL, name TEXT NOT NULL, definition TEXT NOT NULL, PRIMARY KEY (owner, name)) WITHOUT ROWID;`

// An object is one entry of the dictionary. Exactly one of the pointers is set.
type object struct {
	Owner, Name string
	ID          int
	Created     string    // RFC 3339
	Table       *table    `json:",omitempty"`
	View        *view     `json:",omitempty"`
	Index       *index    `json:",omitempty"`
	Sequence    *sequence `json:",omitempty"`
	Synonym     *synonym  `json:",omitempty"`
}

type table struct {
	Columns     []tableColumn
	Constraints []constraint
	Temporary   bool `json:",omitempty"`
	// OnCommitDelete is ON COMMIT DELETE ROWS of a temporary table.
	OnCommitDelete bool `json:",omitempty"`
}

type tableColumn struct {
	Name   string
	Stored string // the SQLite column
	Type   datatype
	// Default is the text of the DEFAULT expression.
	Default string `json:",omitempty"`
	// Identity names the sequence of an identity column; Always forbids giving a value.
	Identity string `json:",omitempty"`
	Always   bool   `json:",omitempty"`
	// OnNull applies the default to an explicit NULL as well.
	OnNull bool `json:",omitempty"`
}

// A constraint is a key, a check or a foreign key.
type constraint struct {
	Name    string
	Stored  string // the SQLite index of a key; prefix of the SQLite triggers of others
	Kind    string // "P" primary key, "U" unique, "C" check, "R" foreign key, as in USER_CONSTRAINTS
	Columns []string
	Check   string    `json:",omitempty"`
	Parent  [2]string // owner, table
	// ParentColumns and OnDelete ("CASCADE", "SET NULL") are those of a foreign key.
	ParentColumns []string `json:",omitempty"`
	OnDelete      string   `json:",omitempty"`
}

type view struct {
	Text    string
	Columns []string
}

type index struct {
	Table   [2]string
	Unique  bool
	Columns []string // names or expressions
}

type sequence struct {
	Start, Increment, Min, Max string // decimal integers
	Cycle                      bool
	Cache                      int
}

type synonym struct{ Owner, Name string }

// kind is the object's type as USER_OBJECTS names it.
func (o *object) kind() string {
	switch {
	case o.Table != nil:
		return "TABLE"
	case o.View != nil:
		return "VIEW"
	case o.Index != nil:
		return "INDEX"
	case o.Sequence != nil:
		return "SEQUENCE"
	}
	return "SYNONYM"
}

// stored is the name of the object's SQLite table or index.
func (o *object) stored() string {
	if o.Index != nil {
		return "i" + strconv.Itoa(o.ID)
	}
	return "t" + strconv.Itoa(o.ID)
}

// shown is the object's name in messages: OWNER.NAME.
func (o *object) shown() string { return o.Owner + "." + o.Name }

func (t *table) column(name string) *tableColumn {
	for i := range t.Columns {
		if t.Columns[i].Name == name {
			return &t.Columns[i]
		}
	}
	return nil
}

// storedNames are the SQLite columns of columns.
func (t *table) storedNames(columns []string) []string {
	out := make([]string, len(columns))
	for i, text := range columns {
		if c := t.column(text); c != nil {
			out[i] = c.Stored
		}
	}
	return out
}

func (t *table) constraint(name string) *constraint {
	for i := range t.Constraints {
		if t.Constraints[i].Name == name {
			return &t.Constraints[i]
		}
	}
	return nil
}

// key is the primary key, or nil.
func (t *table) key() *constraint {
	for i := range t.Constraints {
		if t.Constraints[i].Kind == "P" {
			return &t.Constraints[i]
		}
	}
	return nil
}

// A dictionary is the objects at one version, read only.
type dictionary struct {
	version int64
	objects map[[2]string]*object
}

// loadDictionary reads the dictionary unless known has the version still.
func loadDictionary(c *connection, known *dictionary) (*dictionary, error) {
	rows, err := c.all(`SELECT version FROM "ora$state"`)
	if err != nil {
		return nil, err
	}
	d := &dictionary{version: rows[0][0].(int64), objects: map[[2]string]*object{}}
	if known != nil && known.version == d.version {
		return known, nil
	}
	if rows, err = c.all(`SELECT definition FROM "ora$objects"`); err != nil {
		return nil, err
	}
	for _, row := range rows {
		o := new(object)
		if err := json.Unmarshal([]byte(row[0].(string)), o); err != nil {
			return nil, failure(604, "dictionary entry cannot be read: %v", err)
		}
		d.objects[[2]string{o.Owner, o.Name}] = o
	}
	return d, nil
}

// find resolves a name of one or two parts as seen from a schema, through synonyms.
func (d *dictionary) find(schema string, parts []name) *object {
	owner, text := schema, parts[len(parts)-1].text
	if len(parts) > 1 {
		owner = parts[len(parts)-2].text
	}
	for range 8 {
		o := d.objects[[2]string{owner, text}]
		if o == nil && len(parts) == 1 {
			o = d.objects[[2]string{"PUBLIC", text}]
		}
		if o == nil || o.Synonym == nil {
			return o
		}
		owner, text, parts = o.Synonym.Owner, o.Synonym.Name, parts[:1]
	}
	return nil
}

// sorted lists the objects by owner and name.
func (d *dictionary) sorted() []*object {
	out := make([]*object, 0, len(d.objects))
	for _, o := range d.objects {
		out = append(out, o)
	}
	slices.SortFunc(out, func(a, b *object) int {
		if c := strings.Compare(a.Owner, b.Owner); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	return out
}

// children are the foreign keys that point at a table, with the tables that have them.
func (d *dictionary) children(owner, name string) []childKey {
	var out []childKey
	for _, o := range d.sorted() {
		if o.Table == nil {
			continue
		}
		for i, c := range o.Table.Constraints {
			if c.Kind == "R" && c.Parent == [2]string{owner, name} {
				out = append(out, childKey{o, &o.Table.Constraints[i]})
			}
		}
	}
	return out
}

type childKey struct {
	table *object
	key   *constraint
}
