package journal

import (
	"math"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestAllOfAnExplanationIsKept sets every field there is, those too that are added later, each to another value.
func TestAllOfAnExplanationIsKept(t *testing.T) {
	e := new(Explanation)
	n := 0
	var fill func(v reflect.Value)
	fill = func(v reflect.Value) {
		n++
		switch v.Kind() {
		case reflect.String:
			v.SetString(strings.Repeat("x", n%5) + string(rune('a'+n)))
		case reflect.Int, reflect.Int64:
			v.SetInt(int64(n * n * (1 - n%2*2))) // below 0 too
		case reflect.Uint32, reflect.Uint64:
			v.SetUint(uint64(n * n))
		case reflect.Float64:
			v.SetFloat(float64(n) / 3)
		case reflect.Bool:
			v.SetBool(true)
		case reflect.Slice:
			v.Set(reflect.MakeSlice(v.Type(), 2, 2))
			fill(v.Index(0))
			fill(v.Index(1))
		case reflect.Struct:
			if v.Type() == reflect.TypeFor[time.Time]() {
				v.Set(reflect.ValueOf(time.Date(2026, 11, 21, 9, 30, 15, 123456789, time.FixedZone("", 5*3600+1800))))
				return
			}
			for i := range v.NumField() {
				fill(v.Field(i))
			}
		default:
			t.Fatalf("a field of kind %v: say here and in code how it is kept", v.Kind())
		}
	}
	fill(reflect.ValueOf(e).Elem())
	packed := e.pack(new(packer))
	if diff := cmp.Diff(e, packed.explanation()); diff != "" {
		t.Errorf("(-given +kept):\n%s", diff)
	}
	if packed.ref() != e.Ref {
		t.Errorf("Ref %q is kept as %q", e.Ref, packed.ref())
	}
	used := connect()
	if packed.asked(used); used.Ref != e.Ref || used.Query != e.Query || used.Client != e.Client || used.Outcome != e.Outcome {
		t.Errorf("what was there before is seen: %+v", used)
	}
	if none := new(Explanation); !cmp.Equal(none, none.pack(new(packer)).explanation()) {
		t.Errorf("one without anything is kept as %+v", none.pack(new(packer)).explanation())
	}
}

// TestPackedIsTheSame packs what may be there, with texts that are part of each other.
func TestPackedIsTheSame(t *testing.T) {
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"sales", "sales1", "sales1@db1", "sales1@db1/DEDICATED", "\xff\x00", strings.Repeat("sales", 50)}))
	zones := []*time.Location{time.UTC, time.Local, time.FixedZone("", -3600), time.FixedZone("", 1), time.FixedZone("odd", 3601)}
	rapid.Check(t, func(t *rapid.T) {
		when := time.Unix(rapid.Int64Range(-1<<40, 1<<40).Draw(t, "seconds"), rapid.Int64Range(0, 1e9-1).Draw(t, "nanoseconds")).In(rapid.SampledFrom(zones).Draw(t, "zone"))
		e := &Explanation{
			Ref: text.Draw(t, "ref"), Time: when, Client: text.Draw(t, "client"), Query: Query{Service: text.Draw(t, "service"), Descriptor: text.Draw(t, "descriptor")},
			Version: rapid.Uint64().Draw(t, "version"), Logged: rapid.SliceOfN(text, 0, 3).Draw(t, "logged"), Text: text.Draw(t, "text"),
			Code: rapid.Int().Draw(t, "code"), Took: time.Duration(rapid.Int64().Draw(t, "took")),
		}
		for range rapid.IntRange(0, 3).Draw(t, "candidates") {
			e.Candidates = append(e.Candidates, Candidate{Key: text.Draw(t, "key"), Score: rapid.Float64().Draw(t, "score"), PassedOver: text.Draw(t, "why"),
				Inputs: Inputs{Status: text.Draw(t, "status"), Weight: rapid.Uint32().Draw(t, "weight"), TauMS: rapid.Int64().Draw(t, "tau")}})
			e.Attempts = append(e.Attempts, Attempt{Key: text.Draw(t, "attempt"), Hedged: rapid.Bool().Draw(t, "hedged")})
		}
		got := e.pack(new(packer)).explanation()
		if !got.Time.Equal(when) || got.Time.Format(time.RFC3339) != when.Format(time.RFC3339) {
			t.Fatalf("%v is kept as %v", when, got.Time)
		}
		got.Time = when
		if diff := cmp.Diff(e, got); diff != "" {
			t.Fatalf("(-given +kept):\n%s", diff)
		}
	})
}

func TestNumbersThatAreNone(t *testing.T) {
	e := &Explanation{Candidates: []Candidate{{Score: math.Inf(1), Inputs: Inputs{Own: math.NaN(), Aged: math.Copysign(0, -1)}}}}
	c := e.pack(new(packer)).explanation().Candidates[0]
	if !math.IsInf(c.Score, 1) || !math.IsNaN(c.Inputs.Own) || !math.Signbit(c.Inputs.Aged) {
		t.Errorf("%+v", c)
	}
}

// TestKeptExplanationsAreSmall: a session's explanation is a good part of the memory that a session takes.
func TestKeptExplanationsAreSmall(t *testing.T) {
	e := connect()
	e.Ref, e.Time = "AAAAAAAA", noon()
	if n := len(e.pack(new(packer))); n > 400 {
		t.Errorf("%d bytes", n)
	}
	const kept = 5000
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	j := Journal{MaxExplanations: kept}
	before := heap()
	for range kept {
		j.Keep(connect())
	}
	if grown := (heap() - before) / kept; grown > 500 {
		t.Errorf("%d bytes of memory for each", grown)
	}
	runtime.KeepAlive(&j)
}
