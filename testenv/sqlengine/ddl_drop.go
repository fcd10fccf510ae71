package sqlengine

import "context"

func (s *dropObject) define(_ context.Context, d *definer) *Error {
	owner, text := d.owned(s.name)
	o := d.dictionary.objects[[2]string{owner, text}]
	if o == nil || o.kind() != s.kind {
		if s.ifExists {
			return nil
		}
		return s.absent(text)
	}
	if s.kind == "TABLE" {
		return s.dropTable(d, o)
	}
	if o.Index != nil {
		if err := d.dropIndex(o); err != nil {
			return err
		}
	}
	if o.Sequence != nil {
		d.done = append(d.done, func() { d.session.engine.sequences.reset(d.session, o) })
	}
	return d.remove(o)
}

// absent is the error for an object that is not there.
func (s *dropObject) absent(text string) *Error {
	switch s.kind {
	case "TABLE", "VIEW":
		return errNoTable().at(s.name[0].position)
	case "INDEX":
		return failure(1418, "specified index does not exist").at(s.name[0].position)
	case "SEQUENCE":
		return failure(2289, "sequence does not exist").at(s.name[0].position)
	case "SYNONYM":
		return failure(1434, "private synonym to be dropped does not exist").at(s.name[0].position)
	case "TRIGGER":
		return failure(4080, "trigger '%s' does not exist", text)
	}
	return failure(4043, "object %s does not exist", text)
}

// dropIndex drops an index, and what its table remembers of it.
func (d *definer) dropIndex(o *object) *Error {
	if t := d.dictionary.objects[o.Index.Table]; t != nil {
		changed := t.clone()
		for i, c := range changed.Table.Constraints {
			if c.Stored == o.stored() {
				changed.Table.Constraints = append(changed.Table.Constraints[:i], changed.Table.Constraints[i+1:]...)
				if err := d.put(changed); err != nil {
					return err
				}
				break
			}
		}
	}
	return d.run("DROP INDEX IF EXISTS " + o.stored())
}

// dropTable drops a table with its indexes, identity sequences and, if asked, the foreign keys that point at it.
func (s *dropObject) dropTable(d *definer, o *object) *Error {
	for _, child := range d.dictionary.children(o.Owner, o.Name) {
		if child.table.ID == o.ID {
			continue
		}
		if !s.cascade {
			return failure(2449, "unique/primary keys in table referenced by foreign keys")
		}
		changed := child.table.clone()
		if err := d.dropConstraint(changed, child.key.Name); err != nil {
			return err
		}
		if err := d.put(changed); err != nil {
			return err
		}
	}
	for _, other := range d.dictionary.sorted() {
		if other.Index != nil && other.Index.Table == [2]string{o.Owner, o.Name} {
			if err := d.remove(other); err != nil {
				return err
			}
		}
	}
	for _, column := range o.Table.Columns {
		if q := d.dictionary.objects[[2]string{o.Owner, column.Identity}]; column.Identity != "" && q != nil {
			if err := d.remove(q); err != nil {
				return err
			}
			d.done = append(d.done, func() { d.session.engine.sequences.reset(d.session, q) })
		}
	}
	// triggers on other tables speak of this one
	for i := range o.Table.Constraints {
		if err := d.dropTriggers(&o.Table.Constraints[i]); err != nil {
			return err
		}
	}
	if err := d.run("DROP TABLE " + o.stored()); err != nil {
		return err
	}
	return d.remove(o)
}
