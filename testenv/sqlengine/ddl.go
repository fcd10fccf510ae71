package sqlengine

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// A definer carries out one DDL statement.
type definer struct {
	session    *Session
	connection *connection
	dictionary *dictionary
	done       []func() // what to do once the change is committed
}

// define runs DDL: what is open is committed, then the definition is a transaction of its own.
func (s *Session) define(ctx context.Context, statement ddlStatement) *Error {
	if refused, ok := statement.(refusedDefinition); ok {
		return refused.err
	}
	if err := s.finish(ctx, "COMMIT"); err != nil {
		return err
	}
	if err := s.begin(ctx, s.engine.LockWait); err != nil {
		return err
	}
	s.readUp(ctx)
	d := &definer{session: s, connection: s.writer}
	var err *Error
	if d.dictionary, err = s.objects(s.writer); err == nil {
		if err = statement.define(ctx, d); err == nil {
			err = d.run(`UPDATE "ora$state" SET version = version + 1`)
		}
	}
	if err != nil {
		s.finish(ctx, "ROLLBACK") // the error at hand counts
		return err
	}
	if err := s.finish(ctx, "COMMIT"); err != nil {
		return err
	}
	for _, f := range d.done {
		f()
	}
	return nil
}

func (r refusedDefinition) define(context.Context, *definer) *Error { return r.err }

// run runs SQLite's own DDL.
func (d *definer) run(sql string) *Error {
	if err := d.connection.run(sql); err != nil {
		return oracleError(context.Background(), err, nil)
	}
	return nil
}

// owned splits a name into owner and name.
func (d *definer) owned(parts []name) (owner, text string) {
	owner, text = d.session.schema(), parts[len(parts)-1].text
	if len(parts) > 1 {
		owner = parts[len(parts)-2].text
	}
	return owner, text
}

// create makes a new object of a name that is not taken.
func (d *definer) create(parts []name) (*object, *Error) {
	owner, text := d.owned(parts)
	if d.dictionary.objects[[2]string{owner, text}] != nil {
		return nil, failure(955, "name is already used by an existing object").at(parts[0].position)
	}
	if len(text) > 128 {
		return nil, failure(972, "identifier is too long").at(parts[0].position)
	}
	id, err := d.nextID()
	return &object{Owner: owner, Name: text, ID: id, Created: time.Now().UTC().Format(time.RFC3339)}, err
}

// nextID gives a number no object or constraint has had.
func (d *definer) nextID() (int, *Error) {
	if err := d.run(`UPDATE "ora$state" SET next_id = next_id + 1`); err != nil {
		return 0, err
	}
	rows, err := d.connection.all(`SELECT next_id FROM "ora$state"`)
	if err != nil {
		return 0, oracleError(context.Background(), err, nil)
	}
	return int(rows[0][0].(int64)), nil
}

// put writes an object into the dictionary.
func (d *definer) put(o *object) *Error {
	definition, err := json.Marshal(o)
	if err != nil {
		return failure(604, "dictionary entry cannot be written: %v", err)
	}
	if _, err = d.connection.all(`INSERT OR REPLACE INTO "ora$objects" VALUES (?1, ?2, ?3)`, o.Owner, o.Name, string(definition)); err != nil {
		return oracleError(context.Background(), err, nil)
	}
	return nil
}

// remove takes an object out of the dictionary.
func (d *definer) remove(o *object) *Error {
	if _, err := d.connection.all(`DELETE FROM "ora$objects" WHERE owner = ?1 AND name = ?2`, o.Owner, o.Name); err != nil {
		return oracleError(context.Background(), err, nil)
	}
	return nil
}

// table finds a table by name.
func (d *definer) table(parts []name) (*object, *Error) {
	o := d.dictionary.find(d.session.schema(), parts)
	if o == nil || o.Table == nil {
		return nil, errNoTable().at(parts[0].position)
	}
	return o.clone(), nil
}

// clone copies an object, since those of a dictionary are shared and never change.
func (o *object) clone() *object {
	text, err := json.Marshal(o)
	out := new(object)
	if err != nil || json.Unmarshal(text, out) != nil {
		return o // cannot be: it came out of JSON
	}
	return out
}

func (s *createView) define(_ context.Context, d *definer) *Error {
	owner, text := d.owned(s.name)
	if old := d.dictionary.objects[[2]string{owner, text}]; old != nil && old.View != nil && s.replace {
		if err := d.remove(old); err != nil {
			return err
		}
		d.dictionary = d.dictionary.without(old)
	}
	o, err := d.create(s.name)
	if err != nil {
		return err
	}
	c := &compiler{session: d.session, dictionary: d.dictionary}
	_, columns := c.query(s.query, true)
	if c.err != nil {
		return c.err
	}
	names, err := columnNames(columns, s.columns, s.name[0].position)
	if err != nil {
		return err
	}
	o.View = &view{Text: s.text, Columns: names}
	return d.put(o)
}

// columnNames are the names of a query's columns for a table or view, which a list may replace.
func columnNames(columns []resultColumn, list []name, position int) ([]string, *Error) {
	if len(list) > 0 && len(list) != len(columns) {
		return nil, failure(1730, "invalid number of column names specified").at(position)
	}
	out := make([]string, len(columns))
	seen := map[string]bool{}
	for i := range columns {
		out[i] = columns[i].name
		if len(list) > 0 {
			out[i] = list[i].text
		}
		if strings.ContainsAny(out[i], "(*+-/|' ") && len(list) == 0 {
			return nil, failure(998, "must name this expression with a column alias").at(position)
		}
		if seen[out[i]] {
			return nil, failure(957, "duplicate column name").at(position)
		}
		seen[out[i]] = true
	}
	return out, nil
}

// without is the dictionary less one object.
func (d *dictionary) without(o *object) *dictionary {
	out := &dictionary{version: d.version, objects: make(map[[2]string]*object, len(d.objects))}
	for key, have := range d.objects {
		if have != o {
			out.objects[key] = have
		}
	}
	return out
}

func (s *createSequence) define(_ context.Context, d *definer) *Error {
	o, err := d.create(s.name)
	if err != nil {
		return err
	}
	o.Sequence = &s.sequence
	d.done = append(d.done, func() { d.session.engine.sequences.reset(d.session, o) })
	return d.put(o)
}

func (s *alterSequence) define(_ context.Context, d *definer) *Error {
	found := d.dictionary.find(d.session.schema(), s.name)
	if found == nil || found.Sequence == nil {
		return failure(2289, "sequence does not exist").at(s.name[0].position)
	}
	o := found.clone()
	s.change(o.Sequence)
	if s.restart {
		d.done = append(d.done, func() { d.session.engine.sequences.reset(d.session, o) })
	}
	return d.put(o)
}

func (s *createSynonym) define(_ context.Context, d *definer) *Error {
	parts := s.name
	if s.public {
		parts = []name{{text: "PUBLIC"}, s.name[len(s.name)-1]}
	}
	owner, text := d.owned(parts)
	if old := d.dictionary.objects[[2]string{owner, text}]; old != nil && old.Synonym != nil && s.replace {
		if err := d.remove(old); err != nil {
			return err
		}
		d.dictionary = d.dictionary.without(old)
	}
	o, err := d.create(parts)
	if err != nil {
		return err
	}
	owner, text = d.owned(s.target)
	o.Synonym = &synonym{owner, text}
	return d.put(o)
}

func (s *createIndex) define(_ context.Context, d *definer) *Error {
	t, err := d.table(s.table)
	if err != nil {
		return err
	}
	o, err := d.create(s.name)
	if err != nil {
		return err
	}
	c := &compiler{session: d.session, dictionary: d.dictionary, scope: tableScope(t, nil, "")}
	items := make([]string, len(s.items))
	names := make([]string, len(s.items))
	for i, e := range s.items {
		items[i] = c.stable(c.expression(e)).sql
		names[i] = strings.ToUpper(s.texts[i])
		if ref, ok := e.(*columnRef); ok {
			names[i] = ref.parts[len(ref.parts)-1].text
		}
	}
	switch {
	case c.err != nil:
		return c.err
	case len(c.parameters) > 0:
		return failure(1743, "only pure functions can be indexed").at(s.name[0].position)
	}
	o.Index = &index{Table: [2]string{t.Owner, t.Name}, Unique: s.unique, Columns: names}
	unique := ""
	if s.unique {
		unique = "UNIQUE "
		t.Table.Constraints = append(t.Table.Constraints, constraint{Name: o.Name, Kind: "I", Columns: names, Stored: o.stored()})
		if err := d.put(t); err != nil {
			return err
		}
	}
	if err := d.run("CREATE " + unique + "INDEX " + o.stored() + " ON " + t.stored() + "(" + strings.Join(items, ",") + ")"); err != nil {
		return duplicateKeys(err, false)
	}
	return d.put(o)
}

// duplicateKeys words the failure to make a unique index for DDL.
func duplicateKeys(err *Error, key bool) *Error {
	if err.Code != 1 {
		return err
	}
	if key {
		return failure(2437, "cannot validate - primary key violated")
	}
	return failure(1452, "cannot CREATE UNIQUE INDEX; duplicate keys found")
}

func (s *truncateTable) define(_ context.Context, d *definer) *Error {
	t, err := d.table(s.name)
	if err != nil {
		return err
	}
	if len(d.dictionary.children(t.Owner, t.Name)) > 0 {
		rows, problem := d.connection.all("SELECT 1 FROM " + t.stored() + " LIMIT 1")
		if problem == nil && len(rows) > 0 {
			return failure(2266, "unique/primary keys in table referenced by enabled foreign keys")
		}
	}
	return d.run("DELETE FROM " + t.stored())
}

func (s *renameObject) define(_ context.Context, d *definer) *Error {
	found := d.dictionary.find(d.session.schema(), s.from)
	if found == nil {
		return failure(4043, "object %s does not exist", s.from[0].text)
	}
	return d.rename(found.clone(), s.to)
}

// rename gives an object another name. Its SQLite name stays, and what refers to it follows.
func (d *definer) rename(o *object, to []name) *Error {
	_, text := d.owned(to)
	if d.dictionary.objects[[2]string{o.Owner, text}] != nil {
		return failure(955, "name is already used by an existing object")
	}
	if err := d.remove(o); err != nil {
		return err
	}
	old := [2]string{o.Owner, o.Name}
	o.Name = text
	for _, other := range d.dictionary.sorted() {
		if changed := other.clone(); changed.follow(old, [2]string{o.Owner, o.Name}) {
			if err := d.put(changed); err != nil {
				return err
			}
		}
	}
	return d.put(o)
}

// follow changes an object's references to a renamed one, and says whether it had any.
func (o *object) follow(old, renamed [2]string) bool {
	changed := false
	if o.Index != nil && o.Index.Table == old {
		o.Index.Table, changed = renamed, true
	}
	if o.Table != nil {
		for i := range o.Table.Constraints {
			if c := &o.Table.Constraints[i]; c.Kind == "R" && c.Parent == old {
				c.Parent, changed = renamed, true
			}
		}
	}
	return changed
}

func generatedName(id int) string { return "SYS_C" + strconv.Itoa(id) }
