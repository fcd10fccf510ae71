package descriptor

import "testing"

func TestConnectData(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"(DESCRIPTION=(ADDRESS=(HOST=h))(CONNECT_DATA=(SERVICE_NAME=s)))", "s"},
		{"(description=(connect_data=(service_name=s)))", "s"},
		{"(CONNECT_DATA=(SERVICE_NAME=s))", "s"},
		{"\n  (CONNECT_DATA=\n(SERVICE_NAME=s))", "s"},
		{"(DESCRIPTION_LIST=(DESCRIPTION=(ADDRESS=(HOST=h)))(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=s)))(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=t))))", "s"},
		{"(alias=(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=s))))", "s"},
		{"(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=s))(CONNECT_DATA=(SERVICE_NAME=t)))", "s"},
		{"(DESCRIPTION=(ADDRESS=(CONNECT_DATA=(SERVICE_NAME=s))))", ""},
		{"(DESCRIPTION=(ADDRESS=(HOST=h)))", ""},
	} {
		data := ConnectData(parsed(t, c.text))
		if got := data.Text("SERVICE_NAME"); got != c.want || (data == nil) != (c.want == "") {
			t.Errorf("ConnectData(%s) is %v, want that of service %q", c.text, data, c.want)
		}
	}
}

func TestSourceRoute(t *testing.T) {
	for _, c := range []struct {
		text string
		want bool
	}{
		{"(DESCRIPTION=(SOURCE_ROUTE=yes)(ADDRESS=(HOST=a))(ADDRESS=(HOST=b)))", true},
		{"(DESCRIPTION=(ADDRESS=(HOST=a))(ADDRESS=(HOST=b))(source_route= ON ))", true},
		{"(DESCRIPTION=(ADDRESS_LIST=(SOURCE_ROUTE=true)(ADDRESS=(HOST=a))))", true},
		{"(DESCRIPTION_LIST=(DESCRIPTION=(A=1))(DESCRIPTION=(ADDRESS_LIST=(SOURCE_ROUTE=1))))", true},
		{"(ADDRESS_LIST=(SOURCE_ROUTE=1))", true},
		{"(alias=(DESCRIPTION=(SOURCE_ROUTE=on)))", true},
		{"(DESCRIPTION=(SOURCE_ROUTE=no)(ADDRESS_LIST=(SOURCE_ROUTE=off)))", false},
		{"(DESCRIPTION=(SOURCE_ROUTE=maybe))", false},
		{"(DESCRIPTION=(SOURCE_ROUTE=))", false},
		{"(DESCRIPTION=(CONNECT_DATA=(SOURCE_ROUTE=yes))(ADDRESS=(SOURCE_ROUTE=yes)))", false},
		{"(DESCRIPTION=(ADDRESS=(HOST=a)))", false},
	} {
		if got := SourceRoute(parsed(t, c.text)); got != c.want {
			t.Errorf("SourceRoute(%s) is %t", c.text, got)
		}
	}
}

func TestTruth(t *testing.T) {
	for _, c := range []struct {
		value     string
		on, known bool
	}{
		{"on", true, true}, {"Yes", true, true}, {"TRUE", true, true}, {"1", true, true}, {" oN\t", true, true},
		{"OFF", false, true}, {"no", false, true}, {"False", false, true}, {"0", false, true},
		{"", false, false}, {"2", false, false}, {"onn", false, false}, {"o n", false, false}, {"enabled", false, false},
	} {
		if on, known := Truth(c.value); on != c.on || known != c.known {
			t.Errorf("Truth(%q) is %t, %t; want %t, %t", c.value, on, known, c.on, c.known)
		}
	}
}
