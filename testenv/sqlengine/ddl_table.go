package sqlengine

import (
	"context"
	"database/sql/driver"
	"strconv"
	"strings"
)

func (s *createTable) define(ctx context.Context, d *definer) *Error {
	owner, text := d.owned(s.name)
	if s.ifNot && d.dictionary.objects[[2]string{owner, text}] != nil {
		return nil
	}
	o, err := d.create(s.name)
	if err != nil {
		return err
	}
	o.Table = &table{Temporary: s.temporary, OnCommitDelete: s.deleteRows}
	var selected string
	if s.as != nil {
		if selected, err = s.queryColumns(d); err != nil {
			return err
		}
	}
	for i := range s.columns {
		if err := d.addColumn(o, &s.columns[i]); err != nil {
			return err
		}
	}
	if err := d.run("CREATE TABLE " + o.stored() + "(" + strings.Join(o.Table.storedNames(o.Table.names()), ",") + ")"); err != nil {
		return err
	}
	if s.as != nil {
		if err := s.fill(ctx, d, o, selected); err != nil {
			return err
		}
	}
	for i := range s.columns {
		s.constraints = append(s.constraints, s.columns[i].constraints...)
	}
	if err := d.addConstraints(o, s.constraints); err != nil {
		return err
	}
	return d.put(o)
}

func (t *table) names() []string {
	out := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		out[i] = c.Name
	}
	return out
}

// queryColumns takes the columns of CREATE TABLE … AS from its query.
func (s *createTable) queryColumns(d *definer) (string, *Error) {
	c := &compiler{session: d.session, dictionary: d.dictionary}
	sql, columns := c.query(s.as, true)
	if c.err != nil {
		return "", c.err
	}
	var list []name
	for _, definition := range s.columns {
		list = append(list, name{definition.column.Name, definition.position})
	}
	names, err := columnNames(columns, list, s.name[0].position)
	if err != nil {
		return "", err
	}
	if len(s.columns) == 0 {
		s.columns = make([]columnDefinition, len(columns))
	}
	for i := range s.columns {
		column := &s.columns[i].column
		column.Name, column.Type, s.columns[i].typed = names[i], columns[i].typ, true
		switch column.Type.Kind {
		case kindNull, kindUnknown:
			return "", failure(1723, "zero-length columns are not allowed")
		case kindInteger:
			column.Type.Kind = kindNumber
		case kindVarchar, kindChar:
			column.Type.Size = orDefault(column.Type.Size, usualVarchar)
		}
	}
	if len(c.parameters) == 0 {
		return sql, nil
	}
	args, err := d.session.arguments(c.parameters, nil, d.session.now())
	if err != nil {
		return "", failure(1027, "bind variables not allowed for data definition operations")
	}
	return substitute(sql, args), nil
}

// substitute writes parameters into a statement as literals.
func substitute(sql string, args []driver.Value) string {
	var b strings.Builder
	inText := false
	for i := 0; i < len(sql); i++ {
		if sql[i] == '\'' {
			inText = !inText
		}
		if sql[i] != '?' || inText {
			b.WriteByte(sql[i])
			continue
		}
		end := i + 1
		for end < len(sql) && isDigit(sql[end]) {
			end++
		}
		n, _ := strconv.Atoi(sql[i+1 : end])
		b.WriteString(storedLiteral(args[n-1]))
		i = end - 1
	}
	return b.String()
}

func (s *createTable) fill(ctx context.Context, d *definer, o *object, selected string) *Error {
	sql := "INSERT INTO " + o.stored() + " " + selected
	if _, err := d.connection.execute(ctx, sql, nil); err != nil {
		return oracleError(ctx, err, nil)
	}
	return nil
}

// addColumn gives a table a column; SQLite's table is not touched.
func (d *definer) addColumn(o *object, c *columnDefinition) *Error {
	if o.Table.column(c.column.Name) != nil {
		return failure(957, "duplicate column name").at(c.position)
	}
	column := c.column
	if !c.typed {
		if c.identity == nil {
			return failure(902, "invalid datatype").at(c.position)
		}
		column.Type = ofKind(kindNumber)
	}
	used := 0
	for _, have := range o.Table.Columns {
		n, _ := strconv.Atoi(have.Stored[1:])
		used = max(used, n)
	}
	column.Stored = "c" + strconv.Itoa(used+1)
	if c.notNull != nil {
		column.Type.NotNull = *c.notNull
	}
	if c.identity != nil {
		if err := d.addIdentity(o, &column, c); err != nil {
			return err
		}
	}
	o.Table.Columns = append(o.Table.Columns, column)
	return d.checkDefault(o, &column, c.position)
}

// addIdentity makes the sequence of an identity column.
func (d *definer) addIdentity(o *object, column *tableColumn, c *columnDefinition) *Error {
	id, err := d.nextID()
	if err != nil {
		return err
	}
	column.Identity, column.Type.NotNull = "ISEQ$$_"+strconv.Itoa(id), true
	q := &object{Owner: o.Owner, Name: column.Identity, ID: id, Created: o.Created, Sequence: c.identity}
	d.done = append(d.done, func() { d.session.engine.sequences.reset(d.session, q) })
	return d.put(q)
}

// checkDefault translates a default once, to find what is wrong with it.
func (d *definer) checkDefault(o *object, column *tableColumn, position int) *Error {
	if column.Default == "" {
		return nil
	}
	c := &compiler{session: d.session, dictionary: d.dictionary}
	c.defaultValue(o, column)
	if c.err != nil {
		if c.err.Code == 904 {
			return failure(984, "column not allowed here").at(position)
		}
		return c.err.at(position)
	}
	return nil
}

// addConstraints gives a table keys, checks and foreign keys.
func (d *definer) addConstraints(o *object, definitions []constraintDefinition) *Error {
	for _, definition := range definitions {
		id, err := d.nextID()
		if err != nil {
			return err
		}
		c := constraint{Name: definition.name, Kind: definition.kind, Check: definition.check, OnDelete: definition.onDelete, Stored: "k" + strconv.Itoa(id)}
		if c.Name == "" {
			c.Name = generatedName(id)
		}
		if d.constraintExists(o, c.Name) {
			return failure(2264, "name already used by an existing constraint").at(definition.position)
		}
		for _, n := range definition.columns {
			if o.Table.column(n.text) == nil {
				return errBadIdentifier(quoteName(n.text)).at(n.position)
			}
			c.Columns = append(c.Columns, n.text)
		}
		if err := d.addConstraint(o, &c, &definition); err != nil {
			return err
		}
		o.Table.Constraints = append(o.Table.Constraints, c)
	}
	return nil
}

func (d *definer) constraintExists(o *object, text string) bool {
	if o.Table.constraint(text) != nil {
		return true
	}
	for _, other := range d.dictionary.objects {
		if other.Owner == o.Owner && other.ID != o.ID && other.Table != nil && other.Table.constraint(text) != nil {
			return true
		}
	}
	return false
}

func (d *definer) addConstraint(o *object, c *constraint, definition *constraintDefinition) *Error {
	switch c.Kind {
	case "P":
		if o.Table.key() != nil {
			return failure(2260, "table can have only one primary key").at(definition.position)
		}
		for _, text := range c.Columns {
			o.Table.column(text).Type.NotNull = true
		}
		return d.addKey(o, c)
	case "U":
		return d.addKey(o, c)
	case "C":
		return d.addCheck(o, c)
	}
	return d.addForeignKey(o, c, definition)
}

func (d *definer) addKey(o *object, c *constraint) *Error {
	columns := strings.Join(o.Table.storedNames(c.Columns), ",")
	if err := d.run("CREATE UNIQUE INDEX " + c.Stored + " ON " + o.stored() + "(" + columns + ")"); err != nil {
		return duplicateKeys(err, c.Kind == "P")
	}
	return nil
}

// addCheck makes triggers that refuse rows for which a condition is false.
func (d *definer) addCheck(o *object, c *constraint) *Error {
	p := newParser(c.Check)
	e := p.expression()
	if p.err != nil {
		return p.err
	}
	compiler := &compiler{session: d.session, dictionary: d.dictionary, scope: tableScope(o, nil, "NEW.")}
	condition := compiler.condition(e)
	if compiler.err != nil {
		return compiler.err
	}
	args, err := d.session.arguments(compiler.parameters, nil, d.session.now())
	if err != nil || len(args) > 0 && mentionsMoment(compiler.parameters) {
		return failure(2436, "date or system variable wrongly specified in CHECK constraint")
	}
	condition = substitute(condition, args)
	rows, problem := d.connection.all("SELECT 1 FROM " + o.stored() + " AS NEW WHERE NOT " + condition + " LIMIT 1")
	if problem != nil {
		return oracleError(context.Background(), problem, nil)
	}
	if len(rows) > 0 {
		return failure(2293, "cannot validate (%s.%s) - check constraint violated", o.Owner, c.Name)
	}
	message := failure(2290, "check constraint (%s.%s) violated", o.Owner, c.Name)
	for _, event := range [...]string{"INSERT", "UPDATE"} {
		refuse := trigger{c.Stored + strings.ToLower(event), "AFTER " + event, o}
		if err := d.refuse(refuse, message, "NOT "+condition); err != nil {
			return err
		}
	}
	return nil
}

// mentionsMoment says whether parameters include more than formats.
func mentionsMoment(parameters []parameter) bool {
	for _, p := range parameters {
		if !strings.HasPrefix(p.name, "format:") {
			return true
		}
	}
	return false
}

// A trigger is a SQLite trigger of a table.
type trigger struct {
	name, event string
	on          *object
}

// refuse makes a trigger that refuses a row for which a condition holds.
func (d *definer) refuse(t trigger, message *Error, when string) *Error {
	return d.run("CREATE TRIGGER " + t.name + " " + t.event + " ON " + t.on.stored() + " WHEN " + when +
		" BEGIN SELECT RAISE(ABORT," + textLiteral(message.Error()) + "); END")
}

// dropTriggers drops the triggers of a check or foreign key.
func (d *definer) dropTriggers(c *constraint) *Error {
	for _, suffix := range [...]string{"insert", "update", "parent", "parentupdate"} {
		if err := d.run("DROP TRIGGER IF EXISTS " + c.Stored + suffix); err != nil {
			return err
		}
	}
	return nil
}

// dropConstraint takes a constraint off a table.
func (d *definer) dropConstraint(o *object, text string) *Error {
	for i := range o.Table.Constraints {
		c := &o.Table.Constraints[i]
		if c.Name != text {
			continue
		}
		if c.Kind == "P" || c.Kind == "U" {
			if err := d.run("DROP INDEX IF EXISTS " + c.Stored); err != nil {
				return err
			}
		}
		if err := d.dropTriggers(c); err != nil {
			return err
		}
		o.Table.Constraints = append(o.Table.Constraints[:i], o.Table.Constraints[i+1:]...)
		return nil
	}
	return failure(2443, "Cannot drop constraint  - nonexistent constraint")
}
