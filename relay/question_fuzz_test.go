package relay

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"servicebroker/descriptor"
	"servicebroker/servicetable"
	"servicebroker/testenv/fuzzing"
	"servicebroker/tns"
)

// nestedData is a CONNECT_DATA with so many levels in it.
func nestedData(depth int) string {
	return "(CONNECT_DATA=(SERVICE_NAME=sales)" + strings.Repeat("(A=", depth) + strings.Repeat(")", depth+1)
}

// FuzzQuestions: whatever a client asks for, what goes on to an instance or back in a redirect asks for nothing
// but what was judged: one name of a service, the instance chosen, no route, and no command.
func FuzzQuestions(f *testing.F) {
	for _, text := range []string{
		sales, "(CONNECT_DATA=(SID=x)(SERVICE_NAME=))", "(DESCRIPTION_LIST=(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=a)))(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=b))))",
		"(DESCRIPTION=(SOURCE_ROUTE=yes)(ADDRESS=(HOST=h)(PORT=1)(PROTOCOL=tcp))(X=(ADDRESS=(HOST=i)))(CONNECT_DATA=(SERVICE_NAME=s)(service_name=t)(INSTANCE_NAME=i)))",
		"(DESCRIPTION=(CONNECT_TIMEOUT=1e9min)(CONNECT_DATA=(SERVICE_NAME=s)(UR=a)))",
	} {
		f.Add(text, []byte{})
	}
	f.Add("(CONNECT_DATA=(SERVICE_NAME=sales.world))", []byte{})
	for _, depth := range []int{62, 63} {
		f.Add(nestedData(depth), []byte{})
	}
	f.Add("", []byte{0, 0, 0, 3, 0, 2, 0, 3, 0, 0, 0, 0, 0})
	r := &servicetable.Registration{ID: "1", Instance: "s1", Host: "h1"}
	c := servicetable.Candidate{Registration: r, Service: &servicetable.Service{Name: "Sales.World"}, Handler: &servicetable.Handler{Name: "DEDICATED", Protocol: "TCP", Host: "10.0.0.1", Port: 1521}}
	f.Fuzz(func(t *testing.T, text string, script []byte) {
		if text == "" {
			text = fuzzing.Text(fuzzing.Read(script))
		}
		asked, err := readAsked(text)
		if err != nil {
			return
		}
		if p := patience(asked); p < 0 {
			t.Fatalf("%q waits %v", text, p)
		}
		_, _, _ = clientID(asked)
		query, err := question(asked)
		if err != nil {
			return
		}
		d := &dialogue{asked: asked, query: query, connect: tns.NewConnect([]byte(text))}
		for _, passed := range []*descriptor.Node{retarget(d, c), essence(retarget(d, c)), withAddress(retarget(d, c), descriptor.Address{Protocol: "tcp", Host: "10.0.0.1", Port: 1521})} {
			back, err := descriptor.Limits{Bytes: 1 << 20, Nodes: 1 << 17}.Parse(passed.String())
			if err != nil {
				t.Fatalf("%q goes on as %q: %v", text, passed, err)
			}
			checkPassed(t, text, query, back)
		}
	})
}

func checkPassed(t *testing.T, text string, query servicetable.Query, back *descriptor.Node) {
	t.Helper()
	again, err := question(back)
	if err != nil || descriptor.SourceRoute(back) && !strings.Contains(strings.ToUpper(text), "ROUTE") {
		t.Fatalf("%q goes on as %q: %v", text, back, err)
	}
	data := descriptor.ConnectData(back)
	asWritten := "Sales.World"
	if strings.EqualFold(query.Service, asWritten) {
		asWritten = query.Service // which is the same name
	}
	names := len(data.All("SERVICE_NAME")) + len(data.All("SID"))
	switch {
	case names != 1:
		t.Fatalf("%q goes on with %d names: %q", text, names, back)
	case query.Service != "" && (again.Service != asWritten || again.Instance != "s1"):
		t.Fatalf("%q goes on to %+v: %q", text, again, back)
	case query.Service == "" && (again.SID != query.SID || again.Service != ""):
		t.Fatalf("%q goes on to %+v: %q", text, again, back)
	case again.Server != query.Server || again.IgnoreStatus != query.IgnoreStatus:
		t.Fatalf("%q goes on as %+v: %q", text, again, back)
	}
	if all := descriptor.Addresses(back); len(all) > 1 || len(all) == 1 && all[0].Text("HOST") != "10.0.0.1" {
		t.Fatalf("%q goes on by %v: %q", text, all, back)
	}
}

// FuzzRules compares rules that are compiled with the same rules read one after the other.
func FuzzRules(f *testing.F) { f.Fuzz(rapid.MakeFuzz(decidesAsTheListDoes)) }
