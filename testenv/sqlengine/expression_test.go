package sqlengine

import "testing"

func TestExpressions(t *testing.T) {
	s := newSession(t, newEngine(t))
	check(t, s, []sqlCase{
		{sql: "select 1 from dual", want: "1"},
		{sql: "SELECT dummy FROM SYS.DUAL", want: "X"},
		{sql: "select 'it''s', q'[it's]', nq'{a}' from dual", want: "it's|it's|a"},
		{sql: "select /*+ hint */ 1 -- comment\n from dual", want: "1"},
		{sql: "select 1+2*3-4/2, -5, 2**3 from dual", want: "5|-5|8"},
		{sql: "select 1/3 from dual", want: "0.3333333333333333333333333333333333333333"},
		{sql: "select 0.1+0.2 from dual", want: "0.3"},
		{sql: "select 12345678901234567890123456789012345678 + 1 from dual", want: "12345678901234567890123456789012345679"},
		{sql: "select 99999999999999999999 * 99999999999999999999 from dual", want: "9999999999999999999800000000000000000001"},
		{sql: "select 1e100, 1.5e-3 from dual", want: "1E+100|0.0015"},
		{sql: "select 1/0 from dual", code: 1476},
		{sql: "select 'a'||'b'||null||1 from dual", want: "ab1"},
		{sql: "select '' from dual", want: "NULL"},
		{sql: "select nvl('', 'x'), nvl(null, 5), nvl2(1, 'y', 'n'), coalesce(null, null, 3) from dual", want: "x|5|y|3"},
		{sql: "select decode(1, 1, 'one', 2, 'two', 'many'), decode(null, null, 'n', 'x'), decode(5, 1, 'a') from dual", want: "one|n|NULL"},
		{sql: "select case when 1=1 then 'a' else 'b' end, case 2 when 1 then 'x' when 2 then 'y' end from dual", want: "a|y"},
		{sql: "select greatest(1, 5, 3), least('b', 'a'), nullif(1, 1), nullif(1, 2) from dual", want: "5|a|NULL|1"},
		{sql: "select round(2.567, 2), trunc(2.567, 1), round(-2.5), mod(10, 3), power(2, 10), sqrt(16), abs(-3) from dual", want: "2.57|2.5|-3|1|1024|4|3"},
		{sql: "select ceil(1.1), floor(-1.1), sign(-3), bitand(12, 10) from dual", want: "2|-2|-1|8"},
		{sql: "select to_number('12.50'), to_number('1,234.5', '9,999.9') from dual", want: "12.5|1234.5"},
		{sql: "select to_number('abc') from dual", code: 1722},
		{sql: "select 'a' + 1 from dual", code: 1722},
		{sql: "select '5' + 1 from dual", want: "6"},
		{sql: "select 1.5f, 2.5d, to_binary_double('1e3') from dual", want: "1.5|2.5|1000"},
		{sql: "select case when 'a' = 'a ' then 1 else 0 end from dual", want: "0"},
		{sql: "select 1 from dual where null = null", want: ""},
		{sql: "select 1 from dual where 1 = '1'", want: "1"},
		{sql: "select 1 from dual where 5 between 1 and 10 and 'abc' like 'a%' and 'a_c' like 'a\\_c' escape '\\'", want: "1"},
		{sql: "select 1 from dual where 3 in (1, 2, 3) and 4 not in (1, 2) and (1, 2) in ((1, 2), (3, 4))", want: "1"},
		{sql: "select 1 from dual where exists (select 1 from dual) and 2 > any (1, 5) and 2 < all (3, 5)", want: "1"},
		{sql: "select (select 7 from dual) + 1 from dual", want: "8"},
		{sql: "select user, uid - uid from dual", want: "SCOTT|0"},
		{sql: "select unknown from dual", code: 904},
		{sql: "select nofunction(1) from dual", code: 904},
		{sql: "select 1 from nowhere", code: 942},
		{sql: "select 1", code: 923},
		{sql: "select from dual", code: 936},
		{sql: "select 1 from dual where", code: 936},
		{sql: "select 1 from dual dual dual", code: 933},
		{sql: "selekt 1 from dual", code: 900},
		{sql: "select (1 from dual", code: 907},
		{sql: "select 'open from dual", code: 1756},
		{sql: "select \"open from dual", code: 1740},
		{sql: "select 1 # 2 from dual", code: 911},
		{sql: "select substr('a', 1, 2, 3) from dual", code: 939},
		{sql: "select substr('a') from dual", code: 938},
		{sql: "select rowid from dual", code: 904},
	})
}

func TestTextFunctions(t *testing.T) {
	s := newSession(t, newEngine(t))
	check(t, s, []sqlCase{
		{sql: "select upper('aé'), lower('AB'), initcap('hello wORLD') from dual", want: "AÉ|ab|Hello World"},
		{sql: "select substr('hello', 2, 3), substr('hello', -3), substr('hello', 10), substr('hello', 0, 2) from dual", want: "ell|llo|NULL|he"},
		{sql: "select instr('banana', 'a'), instr('banana', 'a', 1, 2), instr('banana', 'a', -1), instr('banana', 'x') from dual", want: "2|4|6|0"},
		{sql: "select length('héllo'), lengthb('héllo'), length('') from dual", want: "5|6|NULL"},
		{sql: "select lpad('7', 3, '0'), rpad('ab', 4), rpad('ab', 1) from dual", want: "007|ab  |a"},
		{sql: "select trim('  a '), ltrim('xxa', 'x'), rtrim('a  '), trim(both 'x' from 'xax'), trim(leading '0' from '007') from dual", want: "a|a|a|a|7"},
		{sql: "select replace('aXbX', 'X', '-'), replace('aX', 'X'), translate('abc', 'ab', 'x'), reverse('abc') from dual", want: "a-b-|a|xc|cba"},
		{sql: "select chr(65), ascii('A'), concat('a', 'b') from dual", want: "A|65|ab"},
		{sql: "select regexp_replace('a1b2', '[0-9]', '#'), regexp_substr('a1b22', '[0-9]+', 1, 2), regexp_count('aaa', 'a') from dual", want: "a#b#|22|3"},
		{sql: "select 1 from dual where regexp_like('ABC', 'b', 'i')", want: "1"},
		{sql: "select regexp_replace('ab', '(a)(b)', '\\2\\1') from dual", want: "ba"},
		{sql: "select hextoraw('0aFF'), rawtohex(hextoraw('0aFF')), utl_raw.cast_to_varchar2(utl_raw.cast_to_raw('hi')) from dual", want: "x0AFF|0AFF|hi"},
		{sql: "select length(sys_guid()), rawtohex(standard_hash('a', 'MD5')) from dual", want: "16|0CC175B9C0F1B6A831C399E269772661"},
		{sql: "select to_clob('long'), empty_clob(), dbms_lob.getlength(to_clob('abc')), dbms_lob.substr(to_clob('abcdef'), 2, 3) from dual", want: "clob:long|clob:|3|cd"},
		{sql: "select cast('12' as number), cast(1.567 as number(3,1)), cast(12 as varchar2(10)), cast('abcdef' as varchar2(3)) from dual", want: "12|1.6|12|abc"},
		{sql: "select hextoraw('xyz') from dual", code: 1465},
	})
}

func TestTimes(t *testing.T) {
	s := newSession(t, newEngine(t))
	check(t, s, []sqlCase{
		{sql: "select date '2024-02-29', timestamp '2024-02-29 12:34:56.789', timestamp '2024-02-29 12:34:56 +02:00' from dual",
			want: "2024-02-29T00:00:00|2024-02-29T12:34:56.789|2024-02-29T12:34:56+02:00"},
		{sql: "select to_date('2024-03-01 13:14:15', 'YYYY-MM-DD HH24:MI:SS') from dual", want: "2024-03-01T13:14:15"},
		{sql: "select to_date('01-MAR-24', 'DD-MON-RR'), to_date('01-mar-1999') from dual", want: "2024-03-01T00:00:00|1999-03-01T00:00:00"},
		{sql: "select to_timestamp('2024-03-01 01:02:03.123456789', 'YYYY-MM-DD HH24:MI:SS.FF') from dual", want: "2024-03-01T01:02:03.123456789"},
		{sql: "select to_timestamp_tz('2024-03-01 01:02:03 -05:30', 'YYYY-MM-DD HH24:MI:SS TZH:TZM') from dual", want: "2024-03-01T01:02:03-05:30"},
		{sql: "select to_char(date '2024-03-05', 'YYYY/MM/DD'), to_char(date '2024-03-05', 'fmDay, DD Month YYYY'), to_char(date '2024-03-05') from dual",
			want: "2024/03/05|Tuesday, 5 March 2024|05-MAR-24"},
		{sql: "select to_char(timestamp '2024-03-05 17:06:07.125', 'HH:MI:SS.FF3 PM') from dual", want: "05:06:07.125 PM"},
		{sql: "select to_char(date '2024-03-05', 'D DDD Q WW IW J \"lit\"') from dual", want: "3 065 1 10 10 2460375 lit"},
		{sql: "select date '2024-02-28' + 1, date '2024-03-01' - date '2024-02-28', date '2024-01-01' + 0.5 from dual", want: "2024-02-29T00:00:00|2|2024-01-01T12:00:00"},
		{sql: "select timestamp '2024-01-01 00:00:00' + interval '1' hour, date '2024-01-01' - interval '1' day from dual", want: "2024-01-01T01:00:00|2023-12-31T00:00:00"},
		{sql: "select timestamp '2024-01-02 00:00:00' - timestamp '2024-01-01 12:00:00' from dual", want: "+000000000 12:00:00.000000000"},
		{sql: "select add_months(date '2024-01-31', 1), last_day(date '2024-02-01'), months_between(date '2024-03-01', date '2024-01-01') from dual", want: "2024-02-29T00:00:00|2024-02-29T00:00:00|2"},
		{sql: "select trunc(to_date('2024-03-05 13:14', 'YYYY-MM-DD HH24:MI')), trunc(date '2024-03-05', 'MM'), next_day(date '2024-03-05', 'FRIDAY') from dual",
			want: "2024-03-05T00:00:00|2024-03-01T00:00:00|2024-03-08T00:00:00"},
		{sql: "select extract(year from date '2024-03-05'), extract(second from timestamp '2024-03-05 01:02:03.5') from dual", want: "2024|3.5"},
		{sql: "select 1 from dual where sysdate > date '2020-01-01' and systimestamp > timestamp '2020-01-01 00:00:00'", want: "1"},
		{sql: "select dbtimezone, sessiontimezone, tz_offset(dbtimezone), tz_offset('+02:00') from dual", want: "+00:00|+00:00|+00:00|+02:00"},
		{sql: "alter session set time_zone = '+02:00'", want: "0"},
		{sql: "select sessiontimezone from dual", want: "+02:00"},
		{sql: "alter session set nls_date_format = 'YYYY-MM-DD HH24:MI:SS'", want: "0"},
		{sql: "select to_char(date '2024-03-05'), '' || date '2024-03-06' from dual", want: "2024-03-05 00:00:00|2024-03-06 00:00:00"},
		{sql: "select timestamp '2024-03-05 12:00:00 +00:00' at time zone '+05:00' from dual", want: "2024-03-05T17:00:00+05:00"},
		{sql: "select to_date('2024-13-01', 'YYYY-MM-DD') from dual", code: 1843},
		{sql: "select to_date('2024-02-30', 'YYYY-MM-DD') from dual", code: 1839},
		{sql: "select to_date('hello', 'YYYY-MM-DD') from dual", code: 1858},
		{sql: "select to_date('2024-01-01 and more', 'YYYY-MM-DD') from dual", code: 1830},
		{sql: "select to_date('2024', 'QQQ') from dual", code: 1820},
		{sql: "select date '2024-01-01' + date '2024-01-01' from dual", code: 975},
		{sql: "select sum(sysdate) from dual", code: 932},
	})
}

func TestNumberFormats(t *testing.T) {
	s := newSession(t, newEngine(t))
	check(t, s, []sqlCase{
		{sql: "select to_char(1234.5), to_char(0.5), to_char(-0.25) from dual", want: "1234.5|.5|-.25"},
		{sql: "select to_char(1234.5, '9,999.99'), to_char(1234.5, 'FM9,999.99'), to_char(12, '00000'), to_char(5, 'FM000') from dual", want: " 1,234.50|1,234.5| 00012|005"},
		{sql: "select to_char(-5, '999'), to_char(5, 'S999'), to_char(-5, '999MI'), to_char(-5, '999PR') from dual", want: "  -5|  +5|  5-|  <5>"},
		{sql: "select to_char(12345, '999'), to_char(0.5, '0.00'), to_char(0.5, '9.99'), to_char(1234, '$9999') from dual", want: "####| 0.50|  .50| $1234"},
		{sql: "select to_char(255, 'XX'), to_char(255, 'FM0xxx'), to_char(12345, '9.99EEEE'), to_number('FF', 'XX') from dual", want: " FF|00FF|  1.23E+04|255"},
		{sql: "select to_char(1, 'bad') from dual", code: 1481},
	})
}
