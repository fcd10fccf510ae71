package sqlengine

// expression takes a whole expression or condition.
func (p *parser) expression() expression {
	defer p.enter()()
	operands := []expression{p.andExpression()}
	for p.accept("OR") {
		operands = append(operands, p.andExpression())
	}
	return balanced("OR", operands)
}

func (p *parser) andExpression() expression {
	operands := []expression{p.notExpression()}
	for p.accept("AND") {
		operands = append(operands, p.notExpression())
	}
	return balanced("AND", operands)
}

// balanced joins operands in a tree no deeper than it must be, since a statement may hold thousands of them.
func balanced(operator string, operands []expression) expression {
	if len(operands) == 1 {
		return operands[0]
	}
	half := len(operands) / 2
	left, right := balanced(operator, operands[:half]), balanced(operator, operands[half:])
	return &operation{node{operands[0].position()}, operator, left, right}
}

func (p *parser) notExpression() expression {
	if t := p.peek(); t.is("NOT") {
		defer p.enter()()
		p.next++
		return &unary{node{t.start}, "NOT", p.notExpression()}
	}
	return p.condition()
}

// comparisons maps the spellings of comparison operators to one of them.
var comparisons = map[string]string{
	"=": "=", "<": "<", ">": ">", "<=": "<=", ">=": ">=", "<>": "<>", "!=": "<>", "^=": "<>", "~=": "<>",
}

// condition takes a sum and whatever is asked of it.
func (p *parser) condition() expression {
	left := p.sum()
	for p.err == nil {
		t := p.peek()
		if operator, found := comparisons[t.text]; found && t.kind == tokenSign {
			p.next++
			left = p.comparison(t, operator, left)
			continue
		}
		not := t.is("NOT") && (p.peekAt(1).is("IN") || p.peekAt(1).is("BETWEEN") || p.peekAt(1).is("LIKE"))
		if not {
			p.next++
		}
		switch {
		case p.accept("IS"):
			left = &isNull{node: node{t.start}, operand: left, not: p.accept("NOT")}
			if !p.accept("NULL") {
				p.fail(failure(908, "missing NULL keyword"))
			}
		case p.accept("BETWEEN"):
			b := &between{node: node{t.start}, operand: left, not: not}
			b.low = p.sum()
			p.expect("AND")
			b.high = p.sum()
			left = b
		case p.accept("LIKE"):
			l := &like{node: node{t.start}, operand: left, pattern: p.sum(), not: not}
			if p.accept("ESCAPE") {
				l.escape = p.sum()
			}
			left = l
		case p.accept("IN"):
			in := &inList{node: node{t.start}, operand: left, not: not}
			in.list, in.query = p.listOrQuery()
			left = in
		default:
			return left
		}
	}
	return left
}

// comparison takes the right side of a comparison, which may be ANY or ALL of a list.
func (p *parser) comparison(t token, operator string, left expression) expression {
	for _, word := range [...]string{"ANY", "SOME", "ALL"} {
		if p.sees(word, "(") {
			p.next++
			q := &quantified{node: node{t.start}, operator: operator, operand: left, all: word == "ALL"}
			q.list, q.query = p.listOrQuery()
			return q
		}
	}
	return &operation{node{t.start}, operator, left, p.sum()}
}

// listOrQuery takes (a, b), (select …), or for IN a single item without parentheses.
func (p *parser) listOrQuery() ([]expression, *queryExpression) {
	if !p.accept("(") {
		return []expression{p.sum()}, nil
	}
	defer p.expect(")")
	if p.seesQuery() {
		return nil, p.query()
	}
	return p.expressionList(), nil
}

// expressionList takes expressions separated by commas.
func (p *parser) expressionList() []expression {
	var out []expression
	for {
		out = append(out, p.expression())
		if p.err != nil || !p.accept(",") {
			return out
		}
	}
}

func (p *parser) sum() expression {
	left := p.product()
	for {
		t := p.peek()
		if !t.is("+") && !t.is("-") && !t.is("||") {
			return left
		}
		p.next++
		p.countOperator()
		left = &operation{node{t.start}, t.text, left, p.product()}
	}
}

func (p *parser) product() expression {
	left := p.factor()
	for {
		t := p.peek()
		word := t.kind == tokenWord && t.text == "MOD" && !p.peekAt(1).is("(") && p.shared
		if !t.is("*") && !t.is("/") && !t.is("**") && !word {
			return left
		}
		p.next++
		p.countOperator()
		left = &operation{node{t.start}, t.text, left, p.factor()}
	}
}

func (p *parser) factor() expression {
	defer p.enter()()
	t := p.peek()
	switch {
	case t.is("-"), t.is("PRIOR"), t.is("CONNECT_BY_ROOT"):
		p.next++
		return &unary{node{t.start}, t.text, p.factor()}
	case t.is("+"):
		p.next++
		return p.factor()
	}
	operand := p.primary()
	for p.sees("AT", "TIME", "ZONE") || p.sees("AT", "LOCAL") {
		if p.accept("AT", "LOCAL") {
			operand = &atTimeZone{node{t.start}, operand, nil}
			continue
		}
		p.next += 3
		operand = &atTimeZone{node{t.start}, operand, p.primary()}
	}
	return operand
}

func (p *parser) primary() expression {
	t := p.peek()
	switch t.kind {
	case tokenNumber:
		p.next++
		return numberToken(t)
	case tokenString:
		p.next++
		return &stringLiteral{node{t.start}, t.text}
	case tokenBind:
		p.next++
		p.acceptIndicator()
		return &bindRef{node{t.start}, p.placeholder(t.text)}
	case tokenQuoted:
		return p.nameOrCall()
	case tokenSign:
		if t.text == "(" {
			return p.parenthesised()
		}
	case tokenWord:
		return p.wordExpression(t)
	}
	p.fail(failure(936, "missing expression"))
	return &nullLiteral{node{t.start}}
}

// acceptIndicator drops an indicator variable after a bind, as in ":value INDICATOR :i".
func (p *parser) acceptIndicator() {
	if p.peek().is("INDICATOR") && p.peekAt(1).kind == tokenBind {
		p.next += 2
	}
}

func numberToken(t token) *numberLiteral {
	n := &numberLiteral{node: node{t.start}, text: t.text}
	switch last := t.text[len(t.text)-1] &^ 0x20; last {
	case 'F', 'D':
		n.binary, n.text = last, t.text[:len(t.text)-1]
	}
	return n
}

// parenthesised takes (expression), (a, b) or (select …).
func (p *parser) parenthesised() expression {
	t := p.take()
	if p.seesQuery() {
		q := &scalarQuery{node{t.start}, p.query()}
		p.expect(")")
		return q
	}
	items := p.expressionList()
	p.expect(")")
	if len(items) == 1 {
		return items[0]
	}
	return &tuple{node{t.start}, items}
}

// wordExpression takes what begins with an unquoted word.
func (p *parser) wordExpression(t token) expression {
	following := p.peekAt(1)
	switch t.text {
	case "NULL":
		p.next++
		return &nullLiteral{node{t.start}}
	case "TRUE", "FALSE":
		if following.is("(") || following.is(".") {
			break
		}
		p.next++
		return &boolLiteral{node{t.start}, t.text == "TRUE"}
	case "CASE":
		return p.caseExpression()
	case "EXISTS":
		p.next++
		p.expect("(")
		q := &exists{node{t.start}, p.query()}
		p.expect(")")
		return q
	case "DATE", "TIMESTAMP":
		if following.kind == tokenString {
			return p.timeLiteral()
		}
	case "INTERVAL":
		if following.kind == tokenString {
			return p.intervalLiteral()
		}
	case "CAST":
		if following.is("(") {
			return p.cast()
		}
	case "EXTRACT":
		if following.is("(") {
			return p.extract()
		}
	case "TRIM":
		if following.is("(") {
			return p.trim()
		}
	case "CURSOR", "MULTISET":
		if following.is("(") {
			p.fail(failure(22902, "CURSOR expression not allowed"))
		}
	}
	if isReserved(t.text) && !following.is("(") {
		p.fail(failure(936, "missing expression"))
		return &nullLiteral{node{t.start}}
	}
	return p.nameOrCall()
}
