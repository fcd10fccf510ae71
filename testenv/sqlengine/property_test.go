package sqlengine

import (
	"bytes"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// decimals draws numbers that a NUMBER can hold.
func decimals() *rapid.Generator[decimal] {
	return rapid.Custom(func(t *rapid.T) decimal {
		text := rapid.StringMatching(`-?[0-9]{1,20}(\.[0-9]{1,18})?(E-?[0-9]{1,2})?`).Draw(t, "number")
		d, ok := parseDecimal(text)
		if !ok {
			t.Fatalf("%q is no number", text)
		}
		return d
	})
}

func ratio(d decimal) *big.Rat {
	r, ok := new(big.Rat).SetString(d.String())
	if !ok {
		panic("not a number: " + d.String())
	}
	return r
}

func TestNumbersKeepTheirValueAndOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := decimals().Draw(t, "a"), decimals().Draw(t, "b")
		back := decodeNumber(encodeNumber(a))
		if ratio(back).Cmp(ratio(a)) != 0 {
			t.Fatalf("%s came back as %s", a, back)
		}
		if again, ok := parseDecimal(a.String()); !ok || ratio(again).Cmp(ratio(a)) != 0 {
			t.Fatalf("%s reads back as %s", a, again)
		}
		if got, want := bytes.Compare(encodeNumber(a), encodeNumber(b)), ratio(a).Cmp(ratio(b)); got != want {
			t.Fatalf("%s against %s is %d, want %d", a, b, got, want)
		}
	})
}

func powerOfTen(n int64) *big.Rat {
	return new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(n), nil))
}

func TestTheEndsOfTheRange(t *testing.T) {
	s := newSession(t, newEngine(t))
	check(t, s, []sqlCase{
		{sql: "select 1e125 * 9.99, 1e-130 + 0 from dual", want: "9.99E+125|1E-130"},
		{sql: "select 1e125 * 10 from dual", code: 1426},
		{sql: "select 1e126 from dual", code: 1426},
		{sql: "select 1e-100 * 1e-100 from dual", want: "0"},
		{sql: "select power(10, 200) from dual", code: 1426},
	})
}

func TestArithmeticIsExactToItsDigits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := decimals().Draw(t, "a"), decimals().Draw(t, "b")
		near := func(what string, got decimal, err error, want *big.Rat) {
			t.Helper()
			size := new(big.Rat).Abs(want)
			if size.Cmp(powerOfTen(125)) >= 0 || size.Cmp(new(big.Rat).Inv(powerOfTen(129))) < 0 {
				return // at or beyond the ends of the range; TestTheEndsOfTheRange looks there
			}
			if err != nil {
				t.Fatalf("%s %s %s: %v", a, what, b, err)
			}
			difference := new(big.Rat).Sub(ratio(got), want)
			// 39 digits are kept at least, so the error is below 1e-38 of the result
			limit := size.Quo(size, powerOfTen(38))
			if difference.Abs(difference).Cmp(limit) > 0 {
				t.Fatalf("%s %s %s = %s, want %s", a, what, b, got, want.FloatString(50))
			}
		}
		sum, err := addDecimals(a, b)
		near("+", sum, err, new(big.Rat).Add(ratio(a), ratio(b)))
		product, err := multiplyDecimals(a, b)
		near("*", product, err, new(big.Rat).Mul(ratio(a), ratio(b)))
		if !b.isZero() {
			quotient, err := divideDecimals(a, b)
			near("/", quotient, err, new(big.Rat).Quo(ratio(a), ratio(b)))
		}
	})
}

func TestTimesKeepTheirValueAndOrder(t *testing.T) {
	moments := func(kind timeKind) *rapid.Generator[moment] {
		return rapid.Custom(func(t *rapid.T) moment {
			seconds := rapid.Int64Range(-62135596800+86400, 253402300799-86400).Draw(t, "seconds") // the years 1 to 9999
			nanos := int64(0)
			if kind != dateOnly {
				nanos = rapid.Int64Range(0, 999999999).Draw(t, "nanoseconds")
			}
			m := moment{time.Unix(seconds, nanos).UTC(), kind}
			if kind == timestampTZ {
				m.Time = m.In(zoneOf(rapid.IntRange(-14*60, 14*60).Draw(t, "zone")))
			}
			return m
		})
	}
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]timeKind{dateOnly, timestamp, timestampTZ}).Draw(t, "kind")
		a, b := moments(kind).Draw(t, "a"), moments(kind).Draw(t, "b")
		back, ok := decodeTime(encodeTime(a))
		if !ok || back.kind != kind || !back.Equal(a.Time) || back.Format(time.RFC3339Nano) != a.Format(time.RFC3339Nano) {
			t.Fatalf("%v came back as %v", a, back)
		}
		if got := bytes.Compare(encodeTime(a), encodeTime(b)); a.Compare(b.Time) != 0 && got != a.Compare(b.Time) {
			t.Fatalf("%v against %v is %d", a, b, got)
		}
		model := "YYYY-MM-DD HH24:MI:SS.FF9"
		if kind == timestampTZ {
			model += " TZR"
		}
		text, err := formatTime(a, model)
		if err != nil {
			t.Fatal(err)
		}
		read, err := parseTime(text, model, kind, time.Time{})
		if err != nil || !read.Equal(a.Time) {
			t.Fatalf("%v written as %s reads as %v, %v", a, text, read, err)
		}
	})
}

func TestLikeAgreesWithRegularExpressions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[ab]{0,8}`).Draw(t, "text")
		pattern := rapid.StringMatching(`[ab%_]{0,6}`).Draw(t, "pattern")
		parsed, err := likePattern([]rune(pattern), -1)
		if err != nil {
			t.Fatal(err)
		}
		re := regexp.MustCompile("^" + strings.NewReplacer("%", ".*", "_", ".").Replace(pattern) + "$")
		if got, want := likeMatches([]rune(text), parsed), re.MatchString(text); got != want {
			t.Fatalf("%q like %q is %v", text, pattern, got)
		}
	})
}

func TestIntervalsKeepTheirOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := interval{duration: time.Duration(rapid.Int64().Draw(t, "a"))}
		b := interval{duration: time.Duration(rapid.Int64().Draw(t, "b"))}
		if back, ok := decodeInterval(encodeInterval(a)); !ok || back != a {
			t.Fatalf("%v came back as %v", a, back)
		}
		if got := bytes.Compare(encodeInterval(a), encodeInterval(b)); (got < 0) != (a.duration < b.duration) {
			t.Fatalf("%v against %v is %d", a, b, got)
		}
	})
}

func TestROWIDsLookLikeOracles(t *testing.T) {
	seen := map[string]bool{}
	for _, id := range []int64{1, 2, 255, 256, 65536, 1 << 40} {
		text := rowIDText(id)
		if !regexp.MustCompile(`^[A-Za-z0-9+/]{18}$`).MatchString(text) || seen[text] {
			t.Errorf("%d is %s", id, text)
		}
		seen[text] = true
	}
}

func FuzzPrepare(f *testing.F) {
	for _, sql := range []string{
		"select a.b, 'x' || :1 c from t a left join (select 1 b from dual) x on a.b = x.b where not exists (select null from dual) order by 1 desc",
		"with q (n) as (select 1 from dual union all select n + 1 from q where n < 5) select max(n) over (partition by n) from q fetch first 3 rows only",
		"insert into t (n) values (:x) returning n into :y", "update t set (n) = (select 2 from dual) where rownum < 5",
		"merge into t using dual on (1 = 1) when matched then update set n = 1", "delete from t where rowid = 'x'",
		"create table u (a number(5) default 1 constraint c check (a > 0), b varchar2(9) references t (n))", "alter table t add (x date not null)",
		"declare x number := 1; e exception; begin for i in 1..2 loop x := x + i; end loop; exception when others then raise; end;",
		"begin if :a = 1 then null; elsif true then :b := sysdate; end if; end;", "alter session set nls_date_format = 'YYYY'",
		"select case when 1 between 0 and 2 then cast('1' as number) end, extract(year from date '2024-01-01'), trim(both 'x' from 'xy') from dual connect by level < 3",
		"select q'[it's]', interval '1 02:03:04' day to second, timestamp '2024-01-01 00:00:00 +01:00', 1.5e3d from dual", "((((((((((",
	} {
		f.Add(sql)
	}
	e := newEngine(f)
	s := newSession(f, e)
	must(f, s, "create table t (n number, v varchar2(5))")
	f.Fuzz(func(t *testing.T, sql string) {
		st, err := s.Prepare(sql)
		if err != nil {
			code(t, err)
			return
		}
		if _, err := st.Describe(t.Context()); err != nil {
			code(t, err)
		}
		if st.Kind() != KindDML {
			return
		}
		// translated and run, then undone
		if _, err := st.Execute(t.Context(), [][]Value{make([]Value, len(st.BindNames()))}); err != nil {
			code(t, err)
		}
		must(t, s, "rollback")
	})
}

func TestMonstersAreRefused(t *testing.T) {
	s := newSession(t, newEngine(t))
	for name, sql := range map[string]string{
		"parentheses": "select " + strings.Repeat("(", 10000) + "1" + strings.Repeat(")", 10000) + " from dual",
		"operators":   "select 1" + strings.Repeat("+1", 100000) + " from dual",
		"subqueries":  strings.Repeat("select * from (", 5000) + "select 1 from dual" + strings.Repeat(")", 5000),
		"joins":       "select 1 from dual" + strings.Repeat(" cross join dual", 5000),
		"negations":   "select 1 from dual where " + strings.Repeat("not ", 5000) + "1=1",
		"signs":       "select " + strings.Repeat("- ", 5000) + "1 from dual",
		"blocks":      strings.Repeat("begin ", 5000) + "null;" + strings.Repeat(" end;", 5000),
	} {
		if _, err := run(s, sql); code(t, err) != 913 && code(t, err) != 6550 {
			t.Errorf("%s: %v", name, err)
		}
	}
	long := "select 1 from dual where 1 = 0" + strings.Repeat(" or 1 = 2", 5000)
	if got, err := run(s, long); got != "" || err != nil {
		t.Error("a long condition:", got, err)
	}
	many := "select 1 from dual where 7 in (1" + strings.Repeat(",2", 5000) + ",7)"
	if got, err := run(s, many); got != "1" || err != nil {
		t.Error("a long list:", got, err)
	}
}

func TestLeftoversAreSwept(t *testing.T) {
	directory := t.TempDir()
	left := filepath.Join(directory, temporaryPrefix+"left")
	foreign := filepath.Join(directory, temporaryPrefix+"foreign")
	for _, path := range []string{left, foreign} {
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(left, lockName), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	used, err := newTemporaryFolder(directory, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Hour)
	other, err := newTemporaryFolder(directory, later)
	if err != nil {
		t.Fatal(err)
	}
	exists := func(path string) bool { _, err := os.Stat(path); return err == nil }
	if exists(left) || !exists(foreign) || !exists(used.path) {
		t.Errorf("left %v, foreign %v, used %v", exists(left), exists(foreign), exists(used.path))
	}
	for _, f := range []*temporaryFolder{used, other} {
		if err := f.remove(); err != nil || exists(f.path) {
			t.Error(err)
		}
	}
}
