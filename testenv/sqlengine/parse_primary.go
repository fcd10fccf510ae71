package sqlengine

import (
	"strconv"
	"strings"
	"time"
)

// nameOrCall takes a column, a pseudo column or a function call.
func (p *parser) nameOrCall() expression {
	t := p.peek()
	var parts []name
	if t.kind == tokenWord && p.peekAt(1).is("(") {
		p.next++ // a function may be called by a reserved word's name, as LEFT
		parts = []name{{t.text, t.start}}
	} else {
		parts = p.qualifiedName()
	}
	if p.peek().is("%") && p.shared { // SQL%ROWCOUNT
		p.next++
		attribute := p.name()
		return &columnRef{node: node{t.start}, parts: []name{{parts[0].text + "%" + attribute.text, t.start}}}
	}
	if p.sees("(", "+", ")") {
		p.next += 3
		return &columnRef{node: node{t.start}, parts: parts, outer: true}
	}
	if !p.peek().is("(") {
		return &columnRef{node: node{t.start}, parts: parts}
	}
	return p.call(t, parts)
}

// call takes a function's arguments and the clauses after them.
func (p *parser) call(t token, function []name) expression {
	p.expect("(")
	c := &call{node: node{t.start}, function: function, isCall: true}
	switch {
	case p.accept("*"):
		c.star = true
	case p.peek().is(")"):
	default:
		c.distinct = p.accept("DISTINCT") || p.accept("UNIQUE")
		if !c.distinct {
			p.accept("ALL")
		}
		for {
			if p.peek().kind == tokenWord && p.peekAt(1).is("=>") {
				p.next += 2 // named notation: the known packages have few parameters, taken in order
			}
			c.arguments = append(c.arguments, p.expression())
			if p.err != nil || !p.accept(",") {
				break
			}
		}
		p.acceptListaggOptions()
	}
	p.expect(")")
	if p.accept("WITHIN", "GROUP") {
		p.expect("(")
		p.expect("ORDER")
		p.expect("BY")
		c.withinOrder = p.orderItems()
		p.expect(")")
	}
	if p.accept("OVER") {
		c.over = p.window()
	}
	return c
}

// acceptListaggOptions drops ON OVERFLOW …, which cannot happen here.
func (p *parser) acceptListaggOptions() {
	if p.accept("ON", "OVERFLOW") {
		for !p.peek().is(")") && p.peek().kind != tokenEnd {
			p.next++
		}
	}
}

func (p *parser) window() *window {
	w := &window{}
	p.expect("(")
	if p.accept("PARTITION") {
		p.expect("BY")
		w.partition = p.expressionList()
	}
	if p.accept("ORDER") {
		p.expect("BY")
		w.order = p.orderItems()
	}
	if p.peek().is("ROWS") || p.peek().is("RANGE") {
		w.frame = p.frame()
	}
	p.expect(")")
	return w
}

// frame takes a window frame, whose words are SQLite's too.
func (p *parser) frame() string {
	var words []string
	for p.err == nil && !p.peek().is(")") {
		t := p.take()
		switch {
		case t.kind == tokenNumber:
		case t.is("ROWS"), t.is("RANGE"), t.is("BETWEEN"), t.is("AND"), t.is("UNBOUNDED"), t.is("PRECEDING"),
			t.is("FOLLOWING"), t.is("CURRENT"), t.is("ROW"):
		default:
			p.fail(failure(907, "missing right parenthesis"))
		}
		words = append(words, t.text)
	}
	return strings.Join(words, " ")
}

func (p *parser) caseExpression() expression {
	defer p.enter()()
	t := p.take()
	c := &caseExpression{node: node{t.start}}
	if !p.peek().is("WHEN") {
		c.operand = p.expression()
	}
	for p.accept("WHEN") {
		branch := caseBranch{condition: p.expression()}
		p.expect("THEN")
		branch.result = p.expression()
		c.when = append(c.when, branch)
	}
	if p.accept("ELSE") {
		c.otherwise = p.expression()
	}
	if p.expect("END"); len(c.when) == 0 {
		p.fail(failure(905, "missing keyword"))
	}
	return c
}

func (p *parser) cast() expression {
	t := p.take()
	p.expect("(")
	c := &castExpression{node: node{t.start}, operand: p.expression()}
	p.expect("AS")
	c.target = p.datatype()
	p.expect(")")
	return c
}

func (p *parser) extract() expression {
	t := p.take()
	p.expect("(")
	e := &extractExpression{node: node{t.start}, field: p.take().text}
	p.expect("FROM")
	e.operand = p.expression()
	p.expect(")")
	return e
}

// trim takes TRIM([LEADING|TRAILING|BOTH] [characters] FROM text) and TRIM(text).
func (p *parser) trim() expression {
	t := p.take()
	p.expect("(")
	e := &trimExpression{node: node{t.start}, side: "BOTH"}
	sided := false
	for _, side := range [...]string{"LEADING", "TRAILING", "BOTH"} {
		if p.accept(side) {
			e.side, sided = side, true
		}
	}
	if sided && p.accept("FROM") {
		e.operand = p.expression()
	} else if e.operand = p.expression(); p.accept("FROM") {
		e.characters, e.operand = e.operand, p.expression()
	}
	p.expect(")")
	return e
}

// timeLiteral takes DATE '2024-02-29' and TIMESTAMP '2024-02-29 12:34:56.789 +01:00'.
func (p *parser) timeLiteral() expression {
	word, text := p.take(), p.take()
	model, kind := "YYYY-MM-DD", dateOnly
	if word.text == "TIMESTAMP" {
		model, kind = "YYYY-MM-DD HH24:MI:SSXFF", timestamp
		if i := strings.LastIndexAny(text.text, "+-"); i > 10 || strings.HasSuffix(text.text, "UTC") {
			model, kind = model+" TZR", timestampTZ
		}
	}
	m, err := parseTime(text.text, model, kind, time.Time{})
	if err != nil {
		p.fail(ownError(err).at(text.start))
	}
	return &timeLiteral{node{word.start}, m}
}

// intervalUnits are the fields of a literal that stand alone.
var intervalUnits = map[string]time.Duration{
	"DAY": 24 * time.Hour, "HOUR": time.Hour, "MINUTE": time.Minute, "SECOND": time.Second,
}

// intervalLiteral takes INTERVAL '5' MINUTE, INTERVAL '1 02:03:04' DAY TO SECOND, INTERVAL '1-6' YEAR TO MONTH.
func (p *parser) intervalLiteral() expression {
	word, text := p.take(), p.take()
	unit := p.take()
	p.skipPrecision()
	last := unit
	if p.accept("TO") {
		last = p.take()
		p.skipPrecision()
	}
	v, ok := parseInterval(text.text, unit.text, last.text)
	if !ok {
		p.fail(failure(1867, "the interval is invalid").at(text.start))
	}
	return &intervalLiteral{node{word.start}, v}
}

// skipPrecision drops (2) or (9,6).
func (p *parser) skipPrecision() {
	if !p.accept("(") {
		return
	}
	for p.peek().kind == tokenNumber || p.peek().is(",") {
		p.next++
	}
	p.expect(")")
}

func parseInterval(text, unit, last string) (interval, bool) {
	text = strings.TrimSpace(text)
	negative := strings.HasPrefix(text, "-")
	text = strings.TrimLeft(text, "+-")
	var v interval
	switch {
	case unit == "YEAR" || unit == "MONTH":
		first, second, both := strings.Cut(text, "-")
		n, err := strconv.Atoi(first)
		months, err2 := strconv.Atoi(second)
		if err != nil || both && err2 != nil {
			return v, false
		}
		if unit == "YEAR" {
			n *= 12
		}
		v.months = n + months
	case unit == last:
		scale, known := intervalUnits[unit]
		n, err := strconv.ParseFloat(text, 64)
		if !known || err != nil {
			return v, false
		}
		v.duration = time.Duration(n * float64(scale))
	default:
		d, ok := parseClock(text, unit)
		if !ok {
			return v, false
		}
		v.duration = d
	}
	if negative {
		v.months, v.duration = -v.months, -v.duration
	}
	return v, true
}

// parseClock reads the fields from unit on, as in "1 02:03:04.5" from DAY.
func parseClock(text, unit string) (time.Duration, bool) {
	units := []string{"DAY", "HOUR", "MINUTE", "SECOND"}
	fields := strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ':' })
	var total time.Duration
	for len(units) > 0 && units[0] != unit {
		units = units[1:]
	}
	if len(fields) > len(units) || len(fields) == 0 {
		return 0, false
	}
	for i, f := range fields {
		n, err := strconv.ParseFloat(f, 64)
		if err != nil || n < 0 || n > 1e6 {
			return 0, false
		}
		total += time.Duration(n * float64(intervalUnits[units[i]]))
	}
	return total, true
}
