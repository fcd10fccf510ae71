package consul

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

// lookAgain compares everything, and wants that to come to what is given.
func (w *writing) lookAgain(t *testing.T, want Look) {
	t.Helper()
	w.fullAt = time.Time{}
	w.mustSync(t)
	if got := w.Looked(); got != want {
		t.Errorf("looked and found %+v, want %+v", got, want)
	}
}

// Others are said to have changed entries only if they have.
func TestOnlyWhatOthersChangedIsSaidToBeChanged(t *testing.T) {
	a := startAgent(t)
	dead := a.writing(t, instance("old1", "10.1.0.8", "sales"))
	dead.lookAgain(t, Look{Began, 2})
	w := a.writing(t, instance("s1", "10.1.0.1", "sales"))
	w.lookAgain(t, Look{Began, 4}) // its own node and service, and those of the dead one
	w.lookAgain(t, Look{Routine, 0})
	w.table.Apply(instance("s2", "10.1.0.2", "sales"))
	w.lookAgain(t, Look{Routine, 0}) // its table changed, and nobody else anything
	if _, err := a.Catalog().Deregister(&api.CatalogDeregistration{Node: "oracle-10-1-0-1"}, nil); err != nil {
		t.Fatal(err)
	}
	w.table.Apply(instance("s3", "10.1.0.3", "sales"))
	w.lookAgain(t, Look{Routine, 2})
	a.kill() // it forgets everything
	a.start(t)
	w.Doubt()
	w.lookAgain(t, Look{Returned, 6})
	w.lookAgain(t, Look{Routine, 0})
}

func TestTheFirstComparisonAfterATakeoverAccusesNobody(t *testing.T) {
	a := startAgent(t)
	w := a.writing(t, instance("s1", "10.1.0.1", "sales"))
	m, stop := a.member(t, "cman1")
	w.Member = m
	<-m.Decided()
	if _, held := m.Lease(); !held || m.Writer() != "" {
		t.Fatalf("the only broker does not write, but %q does", m.Writer())
	}
	w.lookAgain(t, Look{Began, 2})
	other, _ := a.member(t, "cman2")
	<-other.Decided()
	heir := a.writing(t, instance("s2", "10.1.0.2", "sales"))
	heir.Member = other
	_ = heir.sync(t)
	if got := heir.Looked(); got != (Look{Standing, 4}) || other.Writer() != "cman1" {
		t.Errorf("found %+v while %q writes", got, other.Writer())
	}
	stop()
	eventually(t, 10*time.Second, "the second broker to write", holder(other))
	heir.lookAgain(t, Look{Began, 4})
	if other.Writer() != "" {
		t.Errorf("%q is said to write", other.Writer())
	}
}

func TestAMemberThatCannotAskHasDecidedToo(t *testing.T) {
	m := &Member{Client: &Client{Address: "127.0.0.1:1"}, Name: "alone"}
	defer m.Client.Close()
	ended := make(chan struct{})
	ctx := t.Context()
	go func() {
		defer close(ended)
		m.Run(ctx)
	}()
	<-m.Decided()
	if m.Failure() == "" || m.Writer() != "" {
		t.Errorf("failure %q, writer %q", m.Failure(), m.Writer())
	}
	t.Cleanup(func() { <-ended })
}

// Who asks how the copy is is answered while Consul is waited for.
func TestNobodyWaitsForASlowConsul(t *testing.T) {
	w := &writing{table: tableOf(instance("s1", "10.1.0.1", "sales"))}
	slow := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, _ *http.Request) {
		problems, look := w.Problems(), w.Looked()
		http.Error(answer, fmt.Sprintf("told of %q, %+v", problems, look), http.StatusInternalServerError)
	}))
	t.Cleanup(slow.Close)
	w.Catalogue = &Catalogue{Client: &Client{Address: slow.URL}}
	t.Cleanup(w.Client.Close)
	if err := w.sync(t); err == nil || !strings.Contains(err.Error(), "told of []") {
		t.Error(err)
	}
}

func TestNotesOfALook(t *testing.T) {
	for occasion, want := range map[Occasion]string{
		Never: "", Routine: "changed or removed by others", Began: "when this broker began to write", Returned: "when Consul was back", Standing: "which another broker keeps",
	} {
		got := Look{occasion, 3}.Note()
		if !strings.Contains(got, want) || (got == "") != (want == "") || want != "" && !strings.HasPrefix(got, "3 entries") {
			t.Errorf("%d: %q", occasion, got)
		}
		if strings.Contains(got, "others") != (occasion == Routine) {
			t.Errorf("%q accuses", got)
		}
		if got := (Look{occasion, 0}).Note(); got != "" {
			t.Errorf("%q", got)
		}
	}
}

func TestWhatIsHiddenIsNotTakenForChanged(t *testing.T) {
	had := state{nodes: map[string]nodeState{"n": {"10.1.0.1", "o"}, "theirs": {}}, services: map[entry]written{{"n", "s"}: {port: 1}}}
	for name, c := range map[string]struct {
		now  state
		want int
	}{
		"nothing":        {state{nodes: had.nodes, services: had.services}, 0},
		"hidden":         {state{hidden: true}, 0},
		"all gone":       {state{}, 2},
		"load":           {state{nodes: had.nodes, services: map[entry]written{{"n", "s"}: {port: 1, Detail: Detail{Load: 7}}}}, 0},
		"another port":   {state{nodes: had.nodes, services: map[entry]written{{"n", "s"}: {port: 2}}}, 1},
		"something more": {state{nodes: map[string]nodeState{"n": {"10.1.0.1", "o"}, "m": {"10.1.0.2", "o"}, "x": {}}, services: map[entry]written{{"n", "s"}: {port: 1}, {"m", "s"}: {}}}, 2},
	} {
		if got := had.changedBy(c.now, "o"); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
