package sqlengine

import (
	"context"
	"slices"
)

func (s *alterTable) define(ctx context.Context, d *definer) *Error {
	o, err := d.table(s.name)
	if err != nil {
		return err
	}
	for i := range s.actions {
		a := &s.actions[i]
		switch a.verb {
		case "ADD":
			err = d.add(ctx, o, a)
		case "MODIFY":
			err = d.modify(o, a)
		case "DROP COLUMN":
			err = d.dropColumns(o, a.names)
		case "DROP CONSTRAINT":
			err = d.dropConstraint(o, a.names[0].text)
		case "DROP PRIMARY KEY":
			err = failure(2441, "Cannot drop nonexistent primary key")
			if key := o.Table.key(); key != nil {
				err = d.dropConstraint(o, key.Name)
			}
		case "RENAME COLUMN":
			err = o.Table.renameColumn(a.names[0], a.to)
		case "RENAME":
			err = d.rename(o, []name{a.to})
		}
		if err != nil {
			return err
		}
	}
	return d.put(o)
}

func (d *definer) isEmpty(o *object) bool {
	rows, err := d.connection.all("SELECT 1 FROM " + o.stored() + " LIMIT 1")
	return err == nil && len(rows) == 0
}

// add adds columns and constraints.
func (d *definer) add(ctx context.Context, o *object, a *tableAction) *Error {
	for i := range a.columns {
		c := &a.columns[i]
		if err := d.addColumn(o, c); err != nil {
			if err.Code == 957 {
				return failure(1430, "column being added already exists in table").at(c.position)
			}
			return err
		}
		column := &o.Table.Columns[len(o.Table.Columns)-1]
		if column.Type.NotNull && column.Default == "" && column.Identity == "" && !d.isEmpty(o) {
			return failure(1758, "table must be empty to add mandatory (NOT NULL) column")
		}
		if err := d.run("ALTER TABLE " + o.stored() + " ADD COLUMN " + column.Stored); err != nil {
			return err
		}
		if err := d.fillColumn(ctx, o, column); err != nil {
			return err
		}
		a.constraints = append(a.constraints, c.constraints...)
	}
	return d.addConstraints(o, a.constraints)
}

// fillColumn gives existing rows a new column's default.
func (d *definer) fillColumn(ctx context.Context, o *object, column *tableColumn) *Error {
	if column.Default == "" && column.Identity == "" {
		return nil
	}
	c := &compiler{session: d.session, dictionary: d.dictionary}
	sql := "UPDATE " + o.stored() + " SET " + column.Stored + "=" + c.put(o, column, c.defaultValue(o, column), true)
	if c.err != nil {
		return c.err
	}
	args, err := d.session.arguments(c.parameters, nil, d.session.now())
	if err != nil {
		return err
	}
	if _, problem := d.connection.execute(ctx, sql, args); problem != nil {
		return oracleError(ctx, problem, o)
	}
	return nil
}

// modify changes columns' types, defaults and NOT NULL.
func (d *definer) modify(o *object, a *tableAction) *Error {
	for i := range a.columns {
		c := &a.columns[i]
		column := o.Table.column(c.column.Name)
		if column == nil {
			return errBadIdentifier(quoteName(c.column.Name)).at(c.position)
		}
		if c.typed {
			if err := d.retype(o, column, c.column.Type); err != nil {
				return err.at(c.position)
			}
		}
		if c.hasDefault {
			column.Default, column.OnNull = c.column.Default, c.column.OnNull
			if err := d.checkDefault(o, column, c.position); err != nil {
				return err
			}
		}
		if c.notNull != nil {
			if err := d.setNotNull(o, column, *c.notNull); err != nil {
				return err.at(c.position)
			}
		}
		a.constraints = append(a.constraints, c.constraints...)
	}
	return d.addConstraints(o, a.constraints)
}

// retype gives a column another type, which must suit what is in it.
func (d *definer) retype(o *object, column *tableColumn, t datatype) *Error {
	t.NotNull = column.Type.NotNull
	old := column.Type
	column.Type = t
	used, err := d.connection.all("SELECT 1 FROM " + o.stored() + " WHERE " + column.Stored + " IS NOT NULL LIMIT 1")
	if err != nil {
		return oracleError(context.Background(), err, nil)
	}
	if len(used) == 0 {
		return nil
	}
	if old.Kind != t.Kind {
		return failure(1439, "column to be modified must be empty to change datatype")
	}
	switch t.Kind {
	case kindVarchar, kindChar, kindRaw:
		longer, err := d.connection.all("SELECT 1 FROM "+o.stored()+" WHERE o_lengthb("+column.Stored+") > ?1 LIMIT 1", int64(t.Size))
		if err != nil {
			return oracleError(context.Background(), err, nil)
		}
		if len(longer) > 0 {
			return failure(1441, "cannot decrease column length because some value is too big")
		}
	case kindNumber:
		if t.Precision > 0 && (old.Precision == 0 || t.Precision-t.Scale < old.Precision-old.Scale || t.Scale < old.Scale) {
			return failure(1440, "column to be modified must be empty to decrease precision or scale")
		}
	}
	return nil
}

func (d *definer) setNotNull(o *object, column *tableColumn, notNull bool) *Error {
	switch {
	case column.Type.NotNull && notNull:
		return failure(1442, "column to be modified to NOT NULL is already NOT NULL")
	case !column.Type.NotNull && !notNull:
		return failure(1451, "column to be modified to NULL cannot be modified to NULL")
	}
	if notNull {
		rows, err := d.connection.all("SELECT 1 FROM " + o.stored() + " WHERE " + column.Stored + " IS NULL LIMIT 1")
		if err != nil {
			return oracleError(context.Background(), err, nil)
		}
		if len(rows) > 0 {
			return failure(2296, "cannot enable (%s.) - null values found", o.Owner)
		}
	}
	column.Type.NotNull = notNull
	return nil
}

// dropColumns drops columns with the constraints and indexes that are theirs alone.
func (d *definer) dropColumns(o *object, names []name) *Error {
	for _, n := range names {
		column := o.Table.column(n.text)
		if column == nil {
			return errBadIdentifier(quoteName(n.text)).at(n.position)
		}
		if len(o.Table.Columns) == 1 {
			return failure(12983, "cannot drop all columns in a table")
		}
		if err := d.freeColumn(o, n.text); err != nil {
			return err
		}
		if err := d.run("ALTER TABLE " + o.stored() + " DROP COLUMN " + column.Stored); err != nil {
			return err
		}
		o.Table.Columns = slices.DeleteFunc(o.Table.Columns, func(c tableColumn) bool { return c.Name == n.text })
	}
	return nil
}

// freeColumn drops what would keep a column from being dropped.
func (d *definer) freeColumn(o *object, text string) *Error {
	for _, c := range slices.Clone(o.Table.Constraints) {
		if !slices.Contains(c.Columns, text) {
			continue
		}
		if len(c.Columns) > 1 {
			return failure(12991, "column is referenced in a multi-column constraint")
		}
		if err := d.dropConstraint(o, c.Name); err != nil {
			return err
		}
	}
	for _, other := range d.dictionary.sorted() {
		if other.Index == nil || other.Index.Table != [2]string{o.Owner, o.Name} || !slices.Contains(other.Index.Columns, text) {
			continue
		}
		if err := d.run("DROP INDEX IF EXISTS " + other.stored()); err != nil {
			return err
		}
		if err := d.remove(other); err != nil {
			return err
		}
	}
	return nil
}

// renameColumn renames a column; SQLite's keeps its name.
func (t *table) renameColumn(from, to name) *Error {
	column := t.column(from.text)
	if column == nil {
		return errBadIdentifier(quoteName(from.text)).at(from.position)
	}
	if t.column(to.text) != nil {
		return failure(957, "duplicate column name").at(to.position)
	}
	column.Name = to.text
	for i := range t.Constraints {
		for j, have := range t.Constraints[i].Columns {
			if have == from.text {
				t.Constraints[i].Columns[j] = to.text
			}
		}
	}
	return nil
}
