package relay

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"servicebroker/relay/engine"
	"servicebroker/servicetable"
)

// told sets every field that a session is told of, those too that are added later, each to another value.
func told(t *testing.T) *SessionInfo {
	info := new(SessionInfo)
	all := reflect.ValueOf(info).Elem()
	for i := range all.NumField() {
		switch field := all.Field(i); field.Interface().(type) {
		case string, servicetable.ID:
			field.SetString(all.Type().Field(i).Name)
		case uint64:
			field.SetUint(uint64(i + 1))
		case netip.Addr:
			field.Set(reflect.ValueOf(netip.MustParseAddr("fe80::1%eth0")))
		case time.Time:
			field.Set(reflect.ValueOf(time.Now()))
		case time.Duration:
		default:
			t.Fatalf("a field of type %v: say here and in know how it is kept", field.Type())
		}
	}
	return info
}

var figures = cmpopts.IgnoreFields(SessionInfo{}, "Idle", "ToServer", "ToClient")

func TestAllOfASessionIsKept(t *testing.T) {
	want := told(t)
	at := counted{Instance: "i", Host: "h", Service: "s", Handler: "d", Named: true}
	limits := timeouts{time.Second, time.Hour}
	one := new(session)
	one.know(want, at, "limited", limits)
	got := SessionInfo{Client: "another", Idle: 1, ToServer: 5}
	one.tell(&got)
	addresses := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	if diff := cmp.Diff(*want, got, figures, addresses); diff != "" {
		t.Errorf("(-told +kept):\n%s", diff)
	}
	if got.Idle != 0 || got.ToServer != 0 {
		t.Errorf("figures of another session: %+v", got)
	}
	if a := one.alike.Value(); a.at != at || a.limited != "limited" || a.limits != limits {
		t.Errorf("%+v", a)
	}
}

// Sessions of one kind share what they have in common, and a long text of another process's is cut, others not.
func TestSessionsAreSmall(t *testing.T) {
	info := told(t)
	one, other := new(session), new(session)
	one.know(info, counted{}, "limited", timeouts{})
	info.ID, info.Client, info.User = 77, "10.0.0.1:5", strings.Repeat("x", 1<<20)
	other.know(info, counted{}, "limited", timeouts{})
	if one.alike != other.alike {
		t.Error("what they have in common is there twice")
	}
	if size := unsafe.Sizeof(*other); size > 192 {
		t.Errorf("a session has %d bytes", size)
	}
	var kept SessionInfo
	other.tell(&kept)
	if len(kept.User) != mostOwnText || kept.Client != info.Client || kept.Ref != info.Ref || kept.ServerLocal != info.ServerLocal {
		t.Errorf("%d bytes of the user are kept, client %q, Ref %q", len(kept.User), kept.Client, kept.Ref)
	}
	other.link.Store(new(engine.Link))
	if now := info.Started.Add(time.Minute); other.describe(now).Idle != time.Minute {
		t.Errorf("idle for %v", other.describe(now).Idle)
	}
}
