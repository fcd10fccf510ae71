package sqlengine

import "strings"

// A numberModel is a parsed number format model such as FM999G990D00.
type numberModel struct {
	fill              bool // blanks to the full width; FM switches it off
	whole, fraction   string
	groups            []int // positions in whole before which a comma stands
	sign              string
	currency, hex     bool
	scientific, short bool // EEEE and TM
	decimals          bool
}

func parseModel(model string) (*numberModel, error) {
	m := &numberModel{fill: true}
	up := strings.ToUpper(model)
	for up != "" {
		switch {
		case strings.HasPrefix(up, "FM"):
			m.fill, up = false, up[2:]
			continue
		case strings.HasPrefix(up, "TM"):
			return &numberModel{short: true}, nil
		case strings.HasPrefix(up, "EEEE"):
			m.scientific, up = true, up[4:]
			continue
		case strings.HasPrefix(up, "MI"), strings.HasPrefix(up, "PR"):
			m.sign, up = up[:2], up[2:]
			continue
		}
		if !m.element(up[0]) {
			return nil, failure(1481, "invalid number format model")
		}
		up = up[1:]
	}
	return m, nil
}

// element takes one character of a model.
func (m *numberModel) element(c byte) bool {
	switch c {
	case '9', '0', 'X':
		m.hex = m.hex || c == 'X'
		if m.decimals {
			m.fraction += string(c)
		} else {
			m.whole += string(c)
		}
	case ',', 'G':
		m.groups = append(m.groups, len(m.whole))
	case '.', 'D':
		if m.decimals {
			return false
		}
		m.decimals = true
	case 'S':
		m.sign = "S"
		if m.whole != "" {
			m.sign = "S$"
		}
	case '$', 'L':
		m.currency = true
	default:
		return false
	}
	return true
}

// formatNumber writes a number by a format model; what does not fit is shown as #.
func formatNumber(d decimal, model string) (string, error) {
	m, err := parseModel(model)
	if err != nil {
		return "", err
	}
	switch {
	case m.short:
		return d.String(), nil
	case m.scientific:
		return m.exponent(d), nil
	case m.hex:
		return m.hexadecimal(d)
	}
	d = d.round(len(m.fraction))
	whole := d.truncate(0)
	digits := ""
	if !whole.isZero() {
		whole.negative = false
		digits = whole.String()
	}
	width := len(m.whole) + len(m.groups) + len(m.fraction) + 1
	if m.decimals {
		width++
	}
	if len(digits) > len(m.whole) {
		return strings.Repeat("#", width), nil
	}
	out := m.grouped(digits)
	if m.decimals {
		out += "." + m.fractionOf(d)
	}
	if m.currency {
		out = "$" + out
		width++
	}
	return m.signed(out, d.negative, width), nil
}

// grouped lays digits out over the model's places.
func (m *numberModel) grouped(digits string) string {
	places := len(m.whole)
	digits = strings.Repeat(" ", places-len(digits)) + digits
	var b strings.Builder
	started := false
	for i := range places {
		for _, g := range m.groups {
			if g == i && started {
				b.WriteByte(',')
			}
		}
		c := digits[i]
		if c == ' ' && (m.whole[i] == '0' || strings.Contains(m.whole[:i], "0")) {
			c = '0'
		}
		if c == ' ' && i == places-1 && m.fraction == "" {
			c = '0'
		}
		if c != ' ' {
			started = true
			b.WriteByte(c)
		}
	}
	return b.String()
}

func (m *numberModel) fractionOf(d decimal) string {
	text := d.String()
	_, fraction, _ := strings.Cut(text, ".")
	fraction += strings.Repeat("0", max(0, len(m.fraction)-len(fraction)))
	if m.fill {
		return fraction
	}
	keep := strings.LastIndexByte(m.fraction, '0') + 1
	for len(fraction) > keep && strings.HasSuffix(fraction, "0") {
		fraction = fraction[:len(fraction)-1]
	}
	return fraction
}

// signed adds the sign and blanks to the full width.
func (m *numberModel) signed(out string, negative bool, width int) string {
	switch m.sign {
	case "MI", "S$":
		sign := " "
		if negative {
			sign = "-"
		} else if m.sign == "S$" {
			sign = "+"
		}
		out += sign
	case "PR":
		if negative {
			out = "<" + out + ">"
		} else {
			out = " " + out + " "
		}
		width++
	case "S":
		if negative {
			out = "-" + out
		} else {
			out = "+" + out
		}
	default:
		if negative {
			out = "-" + out
		}
	}
	if !m.fill {
		return strings.TrimSpace(out)
	}
	return strings.Repeat(" ", max(0, width-len(out))) + out
}

func (m *numberModel) exponent(d decimal) string {
	if d.isZero() {
		d.digits, d.point = []byte("0"), 1
	}
	places := len(m.fraction)
	scaled := decimal{negative: d.negative, digits: d.digits, point: 1}.round(places)
	power := d.point - 1
	if scaled.point > 1 {
		scaled.point, power = 1, power+1
	}
	text := scaled.String()
	if places > 0 {
		whole, fraction, _ := strings.Cut(text, ".")
		text = whole + "." + fraction + strings.Repeat("0", max(0, places-len(fraction)))
	}
	sign := "+"
	if power < 0 {
		sign, power = "-", -power
	}
	out := text + "E" + sign + twoDigits(power)
	if m.fill && !d.negative {
		out = "  " + out
	}
	return out
}

func (m *numberModel) hexadecimal(d decimal) (string, error) {
	n := d.round(0).scaled(0)
	if n.Sign() < 0 {
		return strings.Repeat("#", len(m.whole)+1), nil
	}
	text := strings.ToUpper(n.Text(16))
	if len(text) > len(m.whole) {
		return strings.Repeat("#", len(m.whole)+1), nil
	}
	if strings.HasPrefix(m.whole, "0") {
		text = strings.Repeat("0", len(m.whole)-len(text)) + text
	}
	if m.fill {
		text = strings.Repeat(" ", max(0, len(m.whole)+1-len(text))) + text
	}
	return text, nil
}

// parseNumberModel reads text by a format model, of which only what it may hold besides digits matters.
func parseNumberModel(text, model string) (decimal, error) {
	m, err := parseModel(model)
	if err != nil {
		return decimal{}, err
	}
	if m.hex {
		return parseHexadecimal(text)
	}
	text = strings.TrimSpace(text)
	negative := strings.HasPrefix(text, "<") && strings.HasSuffix(text, ">") || strings.HasSuffix(text, "-")
	text = strings.Trim(text, "<>$")
	text = strings.TrimSuffix(strings.TrimSuffix(text, "-"), "+")
	if len(m.groups) > 0 {
		text = strings.ReplaceAll(text, ",", "")
	}
	text = strings.Replace(text, "-$", "-", 1)
	d, ok := parseDecimal(text)
	if !ok || !m.scientific && !m.short && (d.point > len(m.whole) || d.fractionDigits() > len(m.fraction)) {
		return decimal{}, failure(1722, "invalid number")
	}
	if negative {
		d = d.neg()
	}
	return d.fit()
}

func parseHexadecimal(text string) (decimal, error) {
	n := decimalOf(0)
	for _, c := range strings.ToUpper(strings.TrimSpace(text)) {
		digit := strings.IndexRune("0123456789ABCDEF", c)
		if digit < 0 {
			return decimal{}, failure(1722, "invalid number")
		}
		next, err := multiplyDecimals(n, decimalOf(16))
		if err == nil {
			n, err = addDecimals(next, decimalOf(int64(digit)))
		}
		if err != nil {
			return decimal{}, err
		}
	}
	return n, nil
}
