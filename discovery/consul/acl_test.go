package consul

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

const acl = `acl { enabled = true default_policy = "deny" tokens { master = "3d6e4c1e-0000-4000-8000-000000000001" agent_master = "3d6e4c1e-0000-4000-8000-000000000002" agent = "3d6e4c1e-0000-4000-8000-000000000001" } }`

// rights are those that a broker needs.
const rights = `node_prefix "oracle-" { policy = "write" }
node_prefix "" { policy = "read" }
service_prefix "" { policy = "write" }
session_prefix "" { policy = "write" }
key_prefix "broker/" { policy = "write" }`

// guarded is an agent that lets nobody do anything without a token.
func guarded(t *testing.T) *agent {
	config := filepath.Join(t.TempDir(), "acl.hcl")
	if err := os.WriteFile(config, []byte(acl), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CONSUL_HTTP_TOKEN", "3d6e4c1e-0000-4000-8000-000000000001") // for the test's own client
	a := startAgent(t, "-config-file="+config)
	eventually(t, 10*time.Second, "ACLs", func() string {
		if _, _, err := a.ACL().PolicyList(nil); err != nil {
			return err.Error()
		}
		return ""
	})
	return a
}

// token makes one that has those rights.
func (a *agent) token(t *testing.T, name, rights string) *api.ACLToken {
	t.Helper()
	policy, _, err := a.ACL().PolicyCreate(&api.ACLPolicy{Name: name, Rules: rights}, nil)
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := a.ACL().TokenCreate(&api.ACLToken{Policies: []*api.ACLTokenPolicyLink{{ID: policy.ID}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestTheTokenIsReadAgainAndRevokingItStopsNothingElse(t *testing.T) {
	a := guarded(t)
	file := filepath.Join(t.TempDir(), "token")
	put := func(secret string) {
		if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	first := a.token(t, "first", rights)
	put(first.SecretID)
	w := a.writing(t, instance("s1", "10.1.0.1", "sales"))
	w.Client.TokenFile = file
	m := &Member{Client: w.Client, Name: "cman1"}
	w.Member = m
	b := &beat{Member: m}
	if err := b.once(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.mustSync(t)
	if _, err := a.ACL().TokenDelete(first.AccessorID, nil); err != nil {
		t.Fatal(err)
	}
	w.table.Apply(instance("s2", "10.1.0.2", "sales"))
	eventually(t, 40*time.Second, "the token to be refused", func() string {
		w.fullAt = time.Time{}
		if err := w.sync(t); err == nil || !strings.Contains(err.Error(), "CONSUL_TOKEN_FILE") {
			return fmt.Sprint(err)
		}
		return ""
	})
	put(a.token(t, "second", rights).SecretID + " ")
	w.mustSync(t)
	if got := a.entries(t); len(got) != 2 {
		t.Errorf("entries are %v", got)
	}
	b.leave(t.Context())
}

// works tells whether a broker with those rights can do all that it does.
func (a *agent) works(t *testing.T, name, rights string) error {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(a.token(t, name, rights).SecretID), 0o600); err != nil {
		return err
	}
	w := a.writing(t, instance(name, "10.1.0.1", "sales"))
	w.Client.TokenFile = file
	m := &Member{Client: w.Client, Name: name}
	w.Member = m
	b := &beat{Member: m}
	defer b.leave(t.Context())
	if err := b.once(t.Context()); err != nil {
		return err
	}
	if _, held := m.Lease(); !held {
		return fmt.Errorf("%s has not got the lock", name)
	}
	for range 2 {
		w.Doubt()
		if err := w.sync(t); err != nil {
			return err
		}
	}
	if n := w.Looked().Entries; n > 0 { // it does not see what it wrote
		return fmt.Errorf("%d entries differ", n)
	}
	l := &listening{Watch: &Watch{Client: w.Client}}
	if _, err := l.ask(new(api.QueryOptions).WithContext(t.Context())); err != nil || len(l.found) != 1 {
		return fmt.Errorf("in maintenance are %v, %w", l.found, err)
	}
	for name, err := range everything(t.Context(), w.Client, t.TempDir()) {
		if err != nil && name != "beat" {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func TestABrokerNeedsTheRightsThatTheManualNamesAndNoOthers(t *testing.T) {
	manual, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(rights, "\n")
	squeeze := func(text string) string { return strings.Join(strings.Fields(text), " ") }
	a := guarded(t)
	eventually(t, 10*time.Second, "the agent to be put into maintenance", func() string { // its node's name does not begin with oracle-
		if err := a.Agent().EnableNodeMaintenance("new disks"); err != nil {
			return err.Error()
		}
		return ""
	})
	eventually(t, 10*time.Second, "maintenance mode", func() string {
		if checks, _, err := a.Health().State(critical, nil); err != nil || len(checks) != 1 {
			return fmt.Sprint(checks, err)
		}
		return ""
	})
	if err := a.works(t, "all", rights); err != nil {
		t.Errorf("with all rights: %v", err)
	}
	for i, line := range lines {
		if !strings.Contains(squeeze(string(manual)), line) {
			t.Errorf("the manual does not name %s", line)
		}
		without := strings.Join(append(append([]string{}, lines[:i]...), lines[i+1:]...), "\n")
		err := a.works(t, fmt.Sprint("without", i), without)
		if err == nil {
			t.Errorf("nobody misses %s", line)
		}
		t.Logf("without %s: %v", line, err)
	}
}
