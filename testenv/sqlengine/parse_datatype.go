package sqlengine

import "strconv"

// datatype takes a column's or a CAST's type.
func (p *parser) datatype() datatype {
	t := p.take()
	if t.kind != tokenWord {
		p.next--
		p.fail(failure(902, "invalid datatype"))
		return datatype{}
	}
	switch t.text {
	case "NUMBER", "NUMERIC", "DECIMAL", "DEC":
		return p.numberType()
	case "INTEGER", "INT", "SMALLINT", "PLS_INTEGER", "BINARY_INTEGER", "SIMPLE_INTEGER", "NATURAL", "POSITIVE":
		return datatype{Kind: kindNumber, Precision: numberPrecision}
	case "FLOAT", "REAL":
		p.typeSize(0)
		return ofKind(kindNumber)
	case "DOUBLE":
		p.accept("PRECISION")
		return ofKind(kindNumber)
	case "BINARY_FLOAT":
		return ofKind(kindFloat)
	case "BINARY_DOUBLE":
		return ofKind(kindDouble)
	case "DATE":
		return ofKind(kindDate)
	case "TIMESTAMP":
		return p.timestampType()
	case "INTERVAL":
		return p.intervalType()
	case "CLOB", "NCLOB":
		return ofKind(kindCLOB)
	case "BLOB":
		return ofKind(kindBLOB)
	case "ROWID", "UROWID":
		p.typeSize(0)
		return datatype{Kind: kindRowID, Size: rowIDLength}
	case "BOOLEAN":
		if p.shared {
			return ofKind(kindBool)
		}
	}
	return p.sizedType(t)
}

// sizedType takes the types of text and bytes.
func (p *parser) sizedType(t token) datatype {
	switch t.text {
	case "CHAR", "NCHAR", "CHARACTER":
		if p.accept("VARYING") {
			return p.textType(kindVarchar, 0)
		}
		return p.textType(kindChar, 1)
	case "VARCHAR2", "VARCHAR", "NVARCHAR2", "STRING":
		return p.textType(kindVarchar, 0)
	case "LONG":
		if p.accept("RAW") {
			return datatype{Kind: kindRaw, Size: maxRaw}
		}
		return ofKind(kindLong)
	case "RAW":
		size := p.typeSize(0)
		if size == 0 && !p.shared {
			p.fail(missing("("))
		}
		if size > maxRaw {
			p.fail(failure(910, "specified length too long for its datatype"))
		}
		return datatype{Kind: kindRaw, Size: size}
	}
	p.next--
	p.fail(failure(902, "invalid datatype"))
	return datatype{}
}

// typeSize takes (n), (n BYTE), (n CHAR); absent if there is none.
func (p *parser) typeSize(absent int) int {
	if !p.accept("(") {
		return absent
	}
	n, err := strconv.Atoi(p.take().text)
	if err != nil || n < 0 {
		p.next--
		p.fail(failure(910, "specified length too long for its datatype"))
	}
	if p.err == nil && n == 0 {
		p.fail(failure(1723, "zero-length columns are not allowed"))
	}
	if !p.accept("CHAR") {
		p.accept("BYTE")
	}
	p.expect(")")
	return n
}

func (p *parser) textType(k kind, absent int) datatype {
	size := p.typeSize(absent)
	switch {
	case size == 0 && !p.shared:
		p.fail(missing("("))
	case size > maxVarchar, k == kindChar && size > 2000 && !p.shared:
		p.fail(failure(910, "specified length too long for its datatype"))
	}
	if p.accept("CHARACTER", "SET") {
		p.name()
	}
	return datatype{Kind: k, Size: size}
}

func (p *parser) numberType() datatype {
	out := ofKind(kindNumber)
	if !p.accept("(") {
		return out
	}
	out.Scale = 0
	if p.accept("*") {
		out.Precision = numberPrecision
	} else {
		out.Precision, _ = strconv.Atoi(p.take().text)
	}
	if p.accept(",") {
		negative := p.accept("-")
		out.Scale, _ = strconv.Atoi(p.take().text)
		if negative {
			out.Scale = -out.Scale
		}
	}
	switch {
	case out.Precision < 1 || out.Precision > numberPrecision:
		p.fail(failure(1727, "numeric precision specifier is out of range (1 to 38)"))
	case out.Scale < -84 || out.Scale > 127:
		p.fail(failure(1728, "numeric scale specifier is out of range (-84 to 127)"))
	}
	p.expect(")")
	return out
}

func (p *parser) timestampType() datatype {
	out := ofKind(kindTimestamp)
	if p.accept("(") {
		digits, err := strconv.Atoi(p.take().text)
		if err != nil || digits < 0 || digits > 9 {
			p.fail(failure(30088, "datetime/interval precision is out of range"))
		}
		out.Scale = digits
		p.expect(")")
	}
	if !p.accept("WITH") {
		return out
	}
	out.Local = p.accept("LOCAL")
	p.expect("TIME")
	p.expect("ZONE")
	out.Kind = kindTimestampTZ
	return out
}

func (p *parser) intervalType() datatype {
	p.take()
	p.skipPrecision()
	if p.accept("TO") {
		p.take()
		p.skipPrecision()
	}
	return ofKind(kindInterval)
}
