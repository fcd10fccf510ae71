package sqlengine

import "strings"

// merge translates MERGE as an UPDATE and an INSERT of what matches nothing.
func (c *compiler) merge(s *mergeStatement) *translation {
	o := c.target(s.table, s.position)
	if c.err != nil {
		return nil
	}
	out := &translation{target: o}
	if len(s.set) > 0 {
		c.mergeUpdate(s, o, out)
	}
	if len(s.values) > 0 {
		c.mergeInsert(s, o, out)
	}
	if c.err != nil {
		return nil
	}
	return out
}

func (c *compiler) mergeUpdate(s *mergeStatement, o *object, out *translation) {
	c.parameters = nil
	alias := c.alias()
	b := &blockCompiler{compiler: c, own: tableScope(o, s.alias, alias+".")}
	c.in(b.own, func() {
		from := b.fromItem(s.source)
		sql := "UPDATE " + o.stored() + " AS " + alias + " SET " + c.assignments(o, s.set) + " FROM " + from + " WHERE " + c.condition(s.on)
		if s.updateWhere != nil {
			sql += " AND " + c.condition(s.updateWhere)
		}
		out.steps = append(out.steps, step{sql, c.parameters})
	})
}

func (c *compiler) mergeInsert(s *mergeStatement, o *object, out *translation) {
	c.parameters = nil
	b := &blockCompiler{compiler: c, own: &scope{}}
	insert := &insertStatement{table: s.table, columns: s.columns, values: s.values, position: s.position}
	c.in(b.own, func() {
		from := b.fromItem(s.source)
		columns := c.columnsOf(o, s.columns)
		values := c.insertValues(insert, o, columns)
		if c.err != nil {
			return
		}
		stored := make([]string, len(columns))
		for i, column := range columns {
			stored[i] = column.Stored
		}
		alias := c.alias()
		b.own.tables = append(b.own.tables, tableScope(o, s.alias, alias+".").tables...)
		sql := "INSERT INTO " + o.stored() + "(" + strings.Join(stored, ",") + ") SELECT " + strings.Join(values, ",") + " FROM " + from +
			" WHERE NOT EXISTS (SELECT 1 FROM " + o.stored() + " AS " + alias + " WHERE " + c.condition(s.on) + ")"
		if s.insertWhere != nil {
			b.own.tables = b.own.tables[:len(b.own.tables)-1]
			sql += " AND " + c.condition(s.insertWhere)
		}
		out.steps = append(out.steps, step{sql, c.parameters})
	})
}
