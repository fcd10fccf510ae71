package sqlengine

import (
	"context"
	"slices"
	"strings"
)

// addForeignKey makes the triggers of a foreign key: two on the child, two on the parent.
func (d *definer) addForeignKey(o *object, c *constraint, definition *constraintDefinition) *Error {
	parent := o
	if owner, text := d.owned(definition.parent); owner != o.Owner || text != o.Name {
		parent = d.dictionary.find(d.session.schema(), definition.parent)
	}
	if parent == nil || parent.Table == nil {
		return errNoTable().at(definition.parent[0].position)
	}
	c.Parent = [2]string{parent.Owner, parent.Name}
	for _, n := range definition.parentKey {
		c.ParentColumns = append(c.ParentColumns, n.text)
	}
	if len(c.ParentColumns) == 0 {
		key := parent.Table.key()
		if key == nil {
			return failure(2268, "referenced table does not have a primary key").at(definition.position)
		}
		c.ParentColumns = key.Columns
	}
	if len(c.ParentColumns) != len(c.Columns) {
		return failure(2256, "number of referencing columns must match referenced columns").at(definition.position)
	}
	if !parent.Table.hasKey(c.ParentColumns) {
		return failure(2270, "no matching unique or primary key for this column-list").at(definition.position)
	}
	k := foreignKey{c, o, parent}
	if rows, problem := d.connection.all("SELECT 1 FROM " + o.stored() + " AS NEW WHERE " + k.orphan() + " LIMIT 1"); problem != nil {
		return oracleError(context.Background(), problem, nil)
	} else if len(rows) > 0 {
		return failure(2298, "cannot validate (%s.%s) - parent keys not found", o.Owner, c.Name)
	}
	return d.foreignTriggers(k)
}

// hasKey reports whether columns are a primary or unique key.
func (t *table) hasKey(columns []string) bool {
	return slices.ContainsFunc(t.Constraints, func(c constraint) bool {
		return (c.Kind == "P" || c.Kind == "U") && slices.Equal(slices.Sorted(slices.Values(c.Columns)), slices.Sorted(slices.Values(columns)))
	})
}

type foreignKey struct {
	constraint    *constraint
	child, parent *object
}

// equal compares the child's columns, under one prefix, with the parent's, under another.
func (k foreignKey) equal(child, parent string) string {
	children := k.child.Table.storedNames(k.constraint.Columns)
	parents := k.parent.Table.storedNames(k.constraint.ParentColumns)
	parts := make([]string, len(children))
	for i := range children {
		parts[i] = child + children[i] + "=" + parent + parents[i]
	}
	return strings.Join(parts, " AND ")
}

// orphan is true for a row NEW of the child without a parent.
func (k foreignKey) orphan() string {
	parts := make([]string, 0, len(k.constraint.Columns)+1)
	for _, column := range k.child.Table.storedNames(k.constraint.Columns) {
		parts = append(parts, "NEW."+column+" IS NOT NULL")
	}
	parts = append(parts, "NOT EXISTS (SELECT 1 FROM "+k.parent.stored()+" AS p WHERE "+k.equal("NEW.", "p.")+")")
	return strings.Join(parts, " AND ")
}

func (d *definer) foreignTriggers(k foreignKey) *Error {
	c := k.constraint
	full := k.child.Owner + "." + c.Name
	orphan := failure(2291, "integrity constraint (%s) violated - parent key not found", full)
	changes := map[string]string{"insert": "AFTER INSERT", "update": "AFTER UPDATE OF " + strings.Join(k.child.Table.storedNames(c.Columns), ",")}
	for suffix, event := range changes {
		if err := d.refuse(trigger{c.Stored + suffix, event, k.child}, orphan, k.orphan()); err != nil {
			return err
		}
	}
	childFound := failure(2292, "integrity constraint (%s) violated - child record found", full)
	exists := "EXISTS (SELECT 1 FROM " + k.child.stored() + " AS q WHERE " + k.equal("q.", "OLD.") + ")"
	changed := make([]string, 0, len(c.ParentColumns))
	for _, column := range k.parent.Table.storedNames(c.ParentColumns) {
		changed = append(changed, "OLD."+column+" IS NOT NEW."+column)
	}
	when := "(" + strings.Join(changed, " OR ") + ") AND " + exists
	if err := d.refuse(trigger{c.Stored + "parentupdate", "AFTER UPDATE", k.parent}, childFound, when); err != nil {
		return err
	}
	if c.OnDelete == "" {
		if k.child.ID == k.parent.ID {
			return nil // rows may go together with their parents: see selfChecks
		}
		// before, so that it comes ahead of what other foreign keys do on deletion
		return d.refuse(trigger{c.Stored + "parent", "BEFORE DELETE", k.parent}, childFound, exists)
	}
	action := "DELETE FROM " + k.child.stored()
	if c.OnDelete == "SET NULL" {
		sets := k.child.Table.storedNames(c.Columns)
		action = "UPDATE " + k.child.stored() + " SET " + strings.Join(sets, "=NULL,") + "=NULL"
	}
	return d.run("CREATE TRIGGER " + c.Stored + "parent AFTER DELETE ON " + k.parent.stored() +
		" BEGIN " + action + " WHERE " + k.equal("", "OLD.") + "; END")
}

// A selfCheck is a query that finds a row if a statement has left something wrong.
type selfCheck struct {
	sql string
	err *Error
}

// selfChecks are the checks after a DELETE from a table: that no row has lost its parent in the same table, there or
// where deletes go on to. A trigger could not tell, since parent and child may go in one statement.
func (d *dictionary) selfChecks(o *object) []selfCheck {
	var out []selfCheck
	seen := map[int]bool{}
	var visit func(o *object)
	visit = func(o *object) {
		if seen[o.ID] {
			return
		}
		seen[o.ID] = true
		for _, child := range d.children(o.Owner, o.Name) {
			switch {
			case child.key.OnDelete != "":
				visit(child.table)
			case child.table.ID == o.ID:
				k := foreignKey{child.key, o, o}
				out = append(out, selfCheck{"SELECT 1 FROM " + o.stored() + " AS NEW WHERE " + k.orphan() + " LIMIT 1",
					failure(2292, "integrity constraint (%s.%s) violated - child record found", o.Owner, child.key.Name)})
			}
		}
	}
	visit(o)
	return out
}
