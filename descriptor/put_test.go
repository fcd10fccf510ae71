package descriptor

import "testing"

func TestPutLeavesSharedChildrenAsTheyAre(t *testing.T) {
	for _, c := range []struct{ text, name, value, want string }{
		{"(A=(X=1)(Y=2))", "Y", "3", "(A=(X=1)(Y=3))"},
		{"(A=(X=1)(Y=2))", "Z", "3", "(A=(X=1)(Y=2)(Z=3))"},
		{"(A=(x=1)(Y=2)(X=3))", "X", "4", "(A=(x=4)(Y=2))"},
		{"(A=(X=1)(Y=2)(X=3))", "X", "1", "(A=(X=1)(Y=2))"},
		{"(A=(X=(B=1)))", "X", "", "(A=(X=))"},
		{"(A=)", "X", "1", "(A=(X=1))"},
	} {
		shared, err := Parse(c.text)
		if err != nil {
			t.Fatal(err)
		}
		n := &Node{Name: shared.Name, Children: shared.Children}
		n.Put(c.name, c.value)
		if got := n.String(); got != c.want {
			t.Errorf("%s with %s=%s is %s, want %s", c.text, c.name, c.value, got, c.want)
		}
		if got := shared.String(); got != c.text {
			t.Errorf("Put(%s, %s) changed what it shares: %s, want %s", c.name, c.value, got, c.text)
		}
	}
}

func TestMaskedIsWhatMaskPrints(t *testing.T) {
	for _, text := range []string{
		"(A=(PASSWORD=x)(USER=y))", "(CONNECT_DATA=(COMMAND=password)(VALUE=secret)(value=(A=b)))", "(A=(MY_WALLET_DIRECTORY=(B=c))(L=(x,y,z)))",
		"(SECURITY=(TOKEN=a))", "(A=((B=1)(C=2))(D=))", `(A="q)")`,
	} {
		n, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := n.Masked(), Mask(n).String(); got != want {
			t.Errorf("%s: Masked is %s, Mask prints %s", text, got, want)
		}
	}
	if got := (*Node)(nil).Masked(); got != "" {
		t.Errorf("nil prints %q", got)
	}
}
