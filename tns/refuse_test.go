package tns

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func TestNewRefuse(t *testing.T) {
	for _, tc := range []struct {
		code   Code
		vsnnum uint32
		want   string
	}{
		{12514, 352321536, refuse21c},
		{12528, 0, "(DESCRIPTION=(TMP=)(VSNNUM=0)(ERR=12528)(ERROR_STACK=(ERROR=(CODE=12528)(EMFI=4))))"},
		{1153, 318767104, "(DESCRIPTION=(TMP=)(VSNNUM=318767104)(ERR=1153)(ERROR_STACK=(ERROR=(CODE=1153)(EMFI=4))(ERROR=(CODE=303)(EMFI=1))))"},
		{0, 0, "(DESCRIPTION=(TMP=)(VSNNUM=0)(ERR=0))"},
	} {
		r := NewRefuse(tc.code, tc.vsnnum)
		if r.Text != tc.want || r.UserReason != 0x22 || r.SystemReason != 0 {
			t.Errorf("%v: %#x %#x %s\nwant %s", tc.code, r.UserReason, r.SystemReason, r.Text, tc.want)
		}
	}
}

// Every refusal we can send is in the one form that every driver reads (tns.md 3.1).
func TestNewRefuseForm(t *testing.T) {
	form := regexp.MustCompile(`^\(DESCRIPTION=\(TMP=\)\(VSNNUM=\d+\)\(ERR=(\d+)\)\(ERROR_STACK=(\(ERROR=\(CODE=\d+\)\(EMFI=\d\)\))+\)\)$`)
	for _, e := range codeTable {
		if e.code == CodeNone {
			continue
		}
		r := NewRefuse(e.code, 0xffffffff)
		m := form.FindStringSubmatch(r.Text)
		if m == nil || m[1] != strconv.Itoa(int(e.code)) || len(r.Text) > inlineLimit || strings.Count(r.Text, "(") != strings.Count(r.Text, ")") {
			t.Errorf("%v: %s", e.code, r.Text)
		}
		b := encode(r)
		if int(b[0])<<8|int(b[1]) != len(b) || int(b[10])<<8|int(b[11]) != len(b)-12 || b[len(b)-1] != ')' {
			t.Errorf("%v: %x", e.code, b)
		}
		if r.Code() != e.code {
			t.Errorf("%v reads back as %v", e.code, r.Code())
		}
	}
}

func TestPingReply(t *testing.T) {
	mustEqual(t, encode(PingReply("LISTENER")), hexBytes(t, `0041000004000000 22 00 0035 "`+pingAnswer+`"`))
	for alias, want := range map[string]string{
		"CMAN_db1.example.com": "CMAN_db1.example.com", "a)(ERR=12514": "aERR12514", "é \x00\r\n": "", "": "",
		strings.Repeat("A", 500): strings.Repeat("A", 64),
	} {
		r := PingReply(alias)
		if r.Text != "(DESCRIPTION=(TMP=)(VSNNUM=0)(ERR=0)(ALIAS="+want+"))" || r.Err() != nil {
			t.Errorf("alias %q: %s, %v", alias, r.Text, r.Err())
		}
	}
}

func TestRefuseCode(t *testing.T) {
	for _, tc := range []struct {
		text  string
		code  Code
		found bool
	}{
		{refuse21c, 12514, true},
		{pingAnswer, 0, true},
		{"(DESCRIPTION=(ERR=12504))", 12504, true},
		{"(DESCRIPTION=(ERR=12504))\x00", 12504, true},
		{"(DESCRIPTION=(ERR=1153)(VSNNUM=186647040)(ERROR_STACK=(ERROR=(CODE=1153)(EMFI=4)(ARGS='()'))(ERROR=(CODE=303)(EMFI=1))))", 1153, true},
		{"(DESCRIPTION=(ERR=1153)(VSNNUM=0))", 1153, true},
		{"(description=(tmp=)(err=12528))", 12528, true},
		{"( DESCRIPTION = ( ERR = 12528 ) )", 12528, true},
		{"(\r\n\tErr\n=\t12528\x00)", 12528, true},
		{"noise (ERR=12514) noise", 12514, true},
		{"(ERR=12514", 12514, true},
		{"(((ERR=1)", 1, true},
		{"(ERR=12514)(ERR=12505)", 12514, true},
		{"(ERR=x)(ERR=12505)", 12505, true},
		{"(ERROR_STACK=(ERROR=(CODE=12514)))", 0, false},
		{"(ERR=)", 0, false},
		{"(ERR)", 0, false},
		{"(ERR", 0, false},
		{"(ERR=12x)", 0, false},
		{"(ERR=-5)", 0, false},
		{"(ERR=99999999999999999999)", 0, false},
		{"ERR=12514", 0, false},
		{"(XERR=12514)", 0, false},
		{"(ERR2=12514)", 0, false},
		{"", 0, false},
		{"(", 0, false},
	} {
		code, found := (&Refuse{Text: tc.text}).ErrorCode()
		if code != tc.code || found != tc.found || (&Refuse{Text: tc.text}).Code() != tc.code {
			t.Errorf("%q: %d, %v; want %d, %v", tc.text, code, found, tc.code, tc.found)
		}
	}
}

func TestRefuseDecodeForms(t *testing.T) {
	for name, b := range map[string]string{
		"inline":                  `001f000004000000 22 00 0013 "(DESCRIPTION=(ERR=1"`,
		"NUL inside the length":   `0020000004000000 22 00 0014 "(DESCRIPTION=(ERR=1\0"`,
		"NUL behind the length":   `0020000004000000 22 00 0013 "(DESCRIPTION=(ERR=1\0"`,
		"length forgotten":        `001f000004000000 22 00 0000 "(DESCRIPTION=(ERR=1"`,
		"in a DATA packet":        `000c000004000000 22 00 0013 001d000006000000 0000 "(DESCRIPTION=(ERR=1"`,
		"in DATA, flags and NUL":  `000c000004000000 22 00 0014 001e000006000000 0040 "(DESCRIPTION=(ERR=1\0"`,
		"over two DATA packets":   `000c000004000000 22 00 0013 0017000006000000 0000 "(DESCRIPTION=" 0010000006000000 0040 "(ERR=1"`,
		"empty, then a DATA with": `000c000004000000 22 00 0000 001d000006000000 0000 "(DESCRIPTION=(ERR=1"`,
	} {
		m, err := reading(hexBytes(t, b)).ReadReply()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if r := m.(*Refuse); r.Text != "(DESCRIPTION=(ERR=1" || r.Code() != 1 || r.UserReason != 0x22 {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// A REFUSE without text is not waited upon: no DATA needs to follow it.
func TestRefuseEmpty(t *testing.T) {
	for _, after := range []string{"", "000a0000", "000a000006000000 0040", "000b00000c000000 01 00 01", `00ff000006000000 0000 "abc"`} {
		m, err := reading(hexBytes(t, "000c000004000000 22 00 0000"+after)).ReadReply()
		if err != nil {
			t.Fatalf("followed by %q: %v", after, err)
		}
		if r := m.(*Refuse); r.Text != "" || r.Err() == nil {
			t.Fatalf("followed by %q: %+v", after, r)
		}
	}
}

func TestRefuseAsError(t *testing.T) {
	err := NewRefuse(CodeUnknownService, 0).Err()
	var refused *RefusedError
	if !errors.As(err, &refused) || refused.Refuse.Code() != 12514 {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"(ERR=12514)": "refused with ORA-12514, service not known here",
		"(ERR=4711)":  "refused with ORA-04711: ",
		"nonsense\n":  `refused without a code: "nonsense\n"`,
	} {
		if got := (&Refuse{Text: text}).Err().Error(); !strings.HasPrefix(got, want) {
			t.Errorf("%q: %q", text, got)
		}
	}
}

func TestRefuseTooLong(t *testing.T) {
	r := &Refuse{Text: strings.Repeat("x", 65535-12)}
	if b := encode(r); len(b) != 65535 {
		t.Fatalf("%d bytes", len(b))
	}
	r.Text += "x"
	w := &wire{}
	mustFail(t, NewConn(w).Send(r), ErrTooLong)
	if encode(r) != nil || w.writes != 0 {
		t.Fatal("something was written")
	}
}

// constants finds the codes this package names.
func constants(t *testing.T) map[string]Code {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "codes.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]Code{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, "Code") {
			return true
		}
		value, err := strconv.Atoi(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		found[spec.Names[0].Name] = Code(value)
		return true
	})
	return found
}

// The table has every code that has a name, once, in order, with a meaning of its own.
func TestCodeTable(t *testing.T) {
	named := constants(t)
	if len(named) != len(codeTable) {
		t.Errorf("%d names, %d entries", len(named), len(codeTable))
	}
	for name, code := range named {
		if code.Meaning() == "" {
			t.Errorf("%s (%d) is not in the table", name, code)
		}
	}
	seen := map[string]Code{}
	for i, e := range codeTable {
		if i > 0 && codeTable[i-1].code >= e.code {
			t.Errorf("%d does not come after %d", e.code, codeTable[i-1].code)
		}
		if other, twice := seen[e.meaning]; twice {
			t.Errorf("%d and %d mean the same", e.code, other)
		}
		seen[e.meaning] = e.code
		if first := e.meaning[:1]; first != strings.ToLower(first) && e.code != CodeUnknownSID && e.code != CodeBadRegion && e.code != CodeUnknownCommand && e.code != CodeBadAddress {
			t.Errorf("%d: %q does not fit into a sentence", e.code, e.meaning)
		}
	}
}

// tns.md 12 in full.
func TestCodeTableIsComplete(t *testing.T) {
	for _, code := range []Code{12500, 12502, 12503, 12504, 12505, 12506, 12508, 12509, 12510, 12511, 12513, 12514, 12515, 12516, 12518, 12519, 12520,
		12521, 12522, 12523, 12524, 12525, 12526, 12527, 12528, 12529, 12530, 12532, 12533, 12535, 12537, 12540, 12541, 12543, 12545, 12546, 12547,
		12549, 12560, 12564, 12566, 12569, 12570, 12571, 12572, 12573, 12574, 12592, 12606, 12608, 12609, 12660, 1153, 1169, 1189, 1190, 1194, 1182} {
		if code.Meaning() == "" {
			t.Errorf("%d is missing", code)
		}
	}
}

func TestCodeAvoidable(t *testing.T) {
	for _, code := range []Code{12500, 12505, 12510, 12514, 12516, 12518, 12519, 12520, 12521, 12526, 12527, 12528, 12535, 12537, 12541, 12547} {
		if !code.Avoidable() {
			t.Errorf("%v: another instance could answer otherwise", code)
		}
	}
	for _, code := range []Code{0, 1017, 1153, 1182, 1189, 12502, 12504, 12506, 12508, 12529, 12533, 12574, 12592, 4711, -1, 99999} {
		if code.Avoidable() {
			t.Errorf("%v: no instance would answer otherwise", code)
		}
	}
}

func TestCodeText(t *testing.T) {
	for code, want := range map[Code]string{12514: "ORA-12514", 1153: "ORA-01153", 0: "ORA-00000"} {
		if code.String() != want {
			t.Errorf("%d is %q", int(code), code.String())
		}
	}
	if m := Code(4711).Meaning(); m != "" {
		t.Errorf("4711 means %q", m)
	}
}

// The version numbers of tns.md 3.
func TestVersionNumber(t *testing.T) {
	for _, v := range []struct {
		want  uint32
		text  string
		parts []uint8
	}{
		{318767104, "19.0.0.0.0", []uint8{19}}, {352321536, "21.0.0.0.0", []uint8{21, 0}}, {301989888, "18.0.0.0.0", []uint8{18}},
		{385875968, "23.0.0.0.0", []uint8{23}}, {202375680, "12.1.0.2.0", []uint8{12, 1, 0, 2}}, {186647552, "11.2.0.4.0", []uint8{11, 2, 0, 4}},
		{186647040, "11.2.0.2.0", []uint8{11, 2, 0, 2, 0}}, {169869568, "10.2.0.1.0", []uint8{10, 2, 0, 1}}, {153093632, "9.2.0.6.0", []uint8{9, 2, 0, 6}},
		{135294976, "8.1.7.0.0", []uint8{8, 1, 7}}, {0, "0.0.0.0.0", nil}, {0xffffffff, "255.15.255.15.255", []uint8{255, 255, 255, 255, 255, 255}},
	} {
		if got := VersionNumber(v.parts...); got != v.want {
			t.Errorf("%v is %d, want %d", v.parts, got, v.want)
		}
		if got := VersionText(v.want); got != v.text {
			t.Errorf("%d is %s, want %s", v.want, got, v.text)
		}
	}
}
