package registration

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"servicebroker/registration/nsgr"
	"servicebroker/servicetable"
	"servicebroker/tns"
)

func TestReRegistrationChangesLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		r := b.connects(t, "127.0.0.1:1").accepted()
		r.says(encode(t, sales("one", 1)))
		synctest.Wait()
		before := b.registered()[0]
		pass(time.Minute)
		r.says(encode(t, sales("one", 42)))
		synctest.Wait()
		after := b.registered()
		if len(after) != 1 || after[0].Load != 42 || after[0].Services[0].Goodness != 42 || after[0].Handlers[0].Load != 42 {
			t.Fatalf("%+v", after)
		}
		if after[0].RegisteredAt != before.RegisteredAt || after[0].LoadAt != before.LoadAt.Add(time.Minute) {
			t.Errorf("registered %v then %v, load %v then %v", before.RegisteredAt, after[0].RegisteredAt, before.LoadAt, after[0].LoadAt)
		}
		if b.count(Registered) != 1 || b.count(Updated) != 1 {
			t.Errorf("%d registered, %d updated", b.count(Registered), b.count(Updated))
		}
		if strings.Contains(b.logged.String(), "registration updated") {
			t.Error("new figures alone were logged: every report of every database would be")
		}
		blocked := sales("one", 42)
		blocked.Services[0].Flags = 0
		r.says(encode(t, blocked))
		synctest.Wait()
		checkLog(t, b, "database registered", "registration updated")
	})
}

// However the message is split, it registers once and whole.
func TestMessagesInPieces(t *testing.T) {
	message := encode(t, sid4(t))
	for _, size := range []int{1, 2, 3, 7, 100, len(message) - 1, len(message)} {
		synctest.Test(t, func(t *testing.T) {
			b := newBroker(t)
			r := b.connects(t, "127.0.0.1:1").accepted()
			for rest := message; len(rest) > 0; {
				n := min(size, len(rest))
				r.says(rest[:n])
				rest = rest[n:]
			}
			synctest.Wait()
			if diff := cmp.Diff([]string{"apply orcl"}, b.history); diff != "" {
				t.Errorf("pieces of %d:\n%s", size, diff)
			}
		})
	}
}

func TestSingleByteWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		r := b.connects(t, "127.0.0.1:1").accepted()
		for _, one := range tns.AppendData(nil, 0, recording(t, "sid_4"), 512, false) {
			if _, err := r.conn.NetConn().Write([]byte{one}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if len(b.registered()) != 1 {
			t.Errorf("not registered\n%s", b.logged)
		}
	})
}

func TestSeveralMessagesInOnePacket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		r := b.connects(t, "127.0.0.1:1").accepted()
		r.says(slicesConcat(encode(t, sales("one", 1)), encode(t, sales("one", 2)), encode(t, sales("one", 3))[:50]))
		synctest.Wait()
		if got := b.registered(); len(got) != 1 || got[0].Load != 2 || b.count(Updated) != 1 {
			t.Errorf("%v", got)
		}
		r.says(encode(t, sales("one", 3))[50:])
		synctest.Wait()
		if got := b.registered(); got[0].Load != 3 {
			t.Errorf("%v", got)
		}
	})
}

func slicesConcat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// A later message may lack the descriptor.
func TestRepresentationIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		r := b.connects(t, "127.0.0.1:1").accepted()
		r.says(recording(t, "constructed-64be"))
		m, err := nsgr.Decode(recording(t, "constructed-64be"), nsgr.Representation{})
		if err != nil {
			t.Fatal(err)
		}
		m.Descriptor = nil
		m.Nodes()[0].Instance.Load = 77
		bare, err := m.AppendTo(nil)
		if err != nil {
			t.Fatal(err)
		}
		r.says(bare)
		synctest.Wait()
		if got := b.registered(); len(got) != 1 || got[0].Load != 77 {
			t.Errorf("%v\n%s", got, b.logged)
		}
	})
}

func TestGarbageIsCountedAndTheConnectionKept(t *testing.T) {
	damaged := bytes.Clone(recording(t, "sid_4"))
	damaged[0x228-10] = 9 // a node of unknown kind
	noName, err := nsgr.New(nsgr.Linux64(), message(instanceNode(""), serviceNode("sales", 1)))
	if err != nil {
		t.Fatal(err)
	}
	nameless, err := noName.AppendTo(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, garbage := range [][]byte{[]byte("GET / HTTP/1.1\r\n\r\n"), {0, 0, 0, 0}, damaged, nameless} {
		synctest.Test(t, func(t *testing.T) {
			b := newBroker(t)
			r := b.connects(t, "127.0.0.1:1").accepted()
			r.says(garbage)
			r.says(recording(t, "sid_4"))
			r.says(garbage)
			synctest.Wait()
			if len(b.registered()) != 1 || b.count(Undecodable) != 2 {
				t.Errorf("%.20q: %d registrations, %d not understood", garbage, len(b.registered()), b.count(Undecodable))
			}
			checkLog(t, b, "not understood", fmt.Sprintf("%x", garbage), "database registered", "not understood", "count=2")
			r.leaves()
			if len(b.registered()) != 0 {
				t.Error("still registered")
			}
		})
	}
}

func TestUnknownRecordsAreLoggedAndTheRestUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		m, err := nsgr.Decode(recording(t, "sid_4"), nsgr.Representation{})
		if err != nil {
			t.Fatal(err)
		}
		m.Records = append(m.Records, nsgr.Record{Kind: 9, Raw: []byte("more")})
		payload, err := m.AppendTo(nil)
		if err != nil {
			t.Fatal(err)
		}
		r := b.connects(t, "127.0.0.1:1").accepted()
		r.says(payload)
		synctest.Wait()
		if len(b.registered()) != 1 || b.count(Undecodable) != 0 {
			t.Errorf("%d registrations", len(b.registered()))
		}
		checkLog(t, b, "record of an unknown kind", fmt.Sprintf("%x", payload))
	})
}

// Who floods us is read slowly and fills no disk, and is not cut off.
func TestFloodIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		r := b.connects(t, "127.0.0.1:1").accepted()
		r.says(recording(t, "sid_4"))
		start := time.Now()
		const flood = 2000
		for range flood {
			r.says([]byte("garbage!"))
		}
		pass(time.Second)
		if took, least := time.Since(start), (flood-messageBurst)*time.Second/messageRate; took < least || took > least+time.Minute {
			t.Errorf("%d messages were read in %v", flood, took)
		}
		if n := b.logged.count("not understood and left out"); n > dumpBurst+3 {
			t.Errorf("%d messages were logged", n)
		}
		if b.count(Undecodable) != flood || len(b.registered()) != 1 {
			t.Errorf("%d counted, %d registered", b.count(Undecodable), len(b.registered()))
		}
		r.leaves()
		checkLog(t, b, "sent messages that were not understood", "count=2000")
	})
}

func TestFloodEndsWithTheBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		r := b.connects(t, "127.0.0.1:1").accepted()
		many := bytes.Repeat(encode(t, sales("one", 1)), messageBurst+10)
		r.says(many[:min(len(many), 60000)])
		for rest := many[min(len(many), 60000):]; len(rest) > 0; {
			n := min(60000, len(rest))
			r.says(rest[:n])
			rest = rest[n:]
		}
		r.leaves()
		if len(b.registered()) != 0 {
			t.Error("still registered")
		}
	})
}

func TestHexInTheLogIsBounded(t *testing.T) {
	if got := hexOf(make([]byte, nsgr.MaxMessage)); len(got) > 2*dumpBytes+4 || !strings.HasSuffix(got, "…") {
		t.Errorf("%d characters", len(got))
	}
	if got := hexOf([]byte{1, 0xab}); got != "01ab" {
		t.Error(got)
	}
}

func TestOwnAddressesAreLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		b.Own = func(host string, port int) bool { return host == "broker1" && port == 1521 }
		reg := sales("one", 1)
		reg.Handlers = append(reg.Handlers,
			servicetable.Handler{ID: [16]byte{3}, Name: "LOOP", Host: "broker1", Port: 1521, Flags: 2, Services: []int{0}},
			servicetable.Handler{ID: [16]byte{4}, Name: "OTHER", Host: "broker1", Port: 1522, Flags: 2, Services: []int{0}},
			servicetable.Handler{ID: [16]byte{5}, Name: "LOCAL", Address: "(PROGRAM=oracle)", Flags: 2, Services: []int{0}})
		r := b.connects(t, "127.0.0.1:1").accepted()
		for range 3 {
			r.says(encode(t, reg))
		}
		synctest.Wait()
		if got := brief(b.registered()[0]); got != "one@db1 1 | sales:1 | DEDICATED:1>sales OTHER:0>sales LOCAL:0>sales" {
			t.Error(got)
		}
		if n := b.logged.count("handler left out"); n != 1 {
			t.Errorf("logged %d times", n)
		}
		checkLog(t, b, "one of this broker's own", "handler=LOOP", "LOCAL_LISTENER")
	})
}

func TestAddressesThatCannotBeAreLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		b.Unfit = func(peer netip.Addr, host string) string {
			if host != "localhost" || peer.String() != "127.0.0.1" {
				return ""
			}
			return "it is nowhere"
		}
		left := 0
		b.Report = func(e Event) {
			if e.Kind == LeftOut && e.Cause == "it is nowhere" && e.Registration.Instance == "one" {
				left++
			}
		}
		reg := sales("one", 1)
		reg.Handlers = append(reg.Handlers, servicetable.Handler{ID: [16]byte{3}, Name: "HERE", Host: "localhost", Port: 1521, Flags: 2, Services: []int{0}})
		r := b.connects(t, "127.0.0.1:1").accepted()
		for range 3 {
			r.says(encode(t, reg))
		}
		synctest.Wait()
		if got := brief(b.registered()[0]); got != "one@db1 1 | sales:1 | DEDICATED:1>sales" || left != 1 {
			t.Errorf("%s, told %d times", got, left)
		}
		checkLog(t, b, "handler left out: it is nowhere", "handler=HERE")
	})
}

func TestAnswers(t *testing.T) {
	for _, mode := range []AnswerMode{AnswerNone, AnswerIDs, AnswerMirror} {
		synctest.Test(t, func(t *testing.T) {
			b := newBroker(t)
			b.Server.Answer = mode
			r := b.connects(t, "127.0.0.1:1").accepted()
			var answers nsgr.Collector
			ended := make(chan error)
			go func() {
				for {
					p, err := r.conn.ReadPacket()
					if err != nil {
						ended <- err
						return
					}
					var data tns.Data
					if err := data.Decode(p); err != nil || len(data.Payload) > 2048-10 {
						t.Errorf("%v, %d bytes", err, len(data.Payload))
					}
					answers.Add(data.Payload)
				}
			}()
			r.says(recording(t, "sid_4"))
			synctest.Wait()
			r.leaves()
			<-ended
			payload, ok := answers.Next()
			if ok != (mode != AnswerNone) {
				t.Fatalf("mode %d answers %x", mode, payload)
			}
			if !ok {
				return
			}
			m, err := nsgr.Decode(payload, nsgr.Representation{})
			if err != nil || len(m.Nodes()) != 6 || (m.Nodes()[0].Instance != nil) != (mode == AnswerMirror) || !bytes.Contains(payload, []byte("orclXDB")) {
				t.Errorf("mode %d: %v, %x", mode, err, payload)
			}
		})
	}
}

// A database that does not read answers does not hold up its own registration for ever.
func TestAnswerThatIsNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		b.Server.Answer = AnswerMirror
		r := b.connects(t, "127.0.0.1:1").accepted()
		r.says(recording(t, "sid_4"))
		synctest.Wait()
		if len(b.registered()) != 1 {
			t.Error("not registered before it is answered")
		}
		pass(sendTime)
		synctest.Wait()
		checkLog(t, b, "registration message not answered")
		r.says(encode(t, sales("one", 2)))
		r.leaves()
		checkLog(t, b, "instance=one")
	})
}

func TestServerWithoutHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		b.Server.Apply, b.Server.Drop, b.Server.Report, b.Server.Log = nil, nil, nil, nil
		r := b.connects(t, "127.0.0.1:1").accepted()
		r.says(recording(t, "sid_4"))
		if err := r.leaves(); err != nil {
			t.Error(err)
		}
	})
}
