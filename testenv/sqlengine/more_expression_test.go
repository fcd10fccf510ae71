package sqlengine

import (
	"regexp"
	"testing"
)

func TestMoreNumbers(t *testing.T) {
	s := newSession(t, newEngine(t))
	check(t, s, []sqlCase{
		{sql: "select exp(0), ln(1), log(10, 100), sin(0), cos(0), tan(0), sqrt(2) from dual", want: "1|0|2|0|1|0|1.41421356237309504880168872420969807857"},
		{sql: "select ln(0) from dual", code: 1428}, {sql: "select sqrt(-1) from dual", code: 1428},
		{sql: "select ln(-1) from dual", code: 1428},
		{sql: "select power(2, 0.5), power(2, -1), power(0.5, 2) from dual", want: "1.4142135623730951|0.5|0.25"},
		{sql: "select round(1234.567, -2), trunc(1234.567, -2), trunc(-1.9), round(0.5), round(-0.4) from dual", want: "1200|1200|-1|1|0"},
		{sql: "select round(1.55d, 1), trunc(-2.7d), abs(-1.5d), ceil(1.2d), floor(-1.2d), mod(5.5d, 2), -(1.5d) from dual", want: "1.6|-2|1.5|2|-2|1.5|-1.5"},
		{sql: "select 1.5d + 1, 1 - 0.5d, 2 * 1.5d, 3 / 2d, power(2d, 3), sqrt(4d) from dual", want: "2.5|0.5|3|1.5|8|2"},
		{sql: "select to_binary_float('1.5'), to_binary_double('inf') from dual", want: "1.5|+Inf"},
		{sql: "select to_binary_double('x') from dual", code: 1722},
		{sql: "select mod(10, 0), mod(-7, 3), remainder(7, 2), sign(-0.5), sign(0) from dual", want: "10|-1|1|-1|0"},
		{sql: "select - - 5, +3, -1.5, - null from dual", want: "5|3|-1.5|NULL"},
		{sql: "select case when dbms_random.value between 0 and 1 and dbms_random.value(5, 6) between 5 and 6 then 1 end from dual", want: "1"},
		{sql: "select length(dbms_random.string('x', 7)), length(dbms_random.string('U', 3)), length(dbms_random.string('a', 3)), length(dbms_random.string('l', 2)) from dual", want: "7|3|3|2"},
		{sql: "select case when dbms_random.random is not null then 1 end from dual", want: "1"},
		{sql: "select nvl(null, 1.5d), nvl(1, 2d), coalesce(null, 2) from dual", want: "1.5|1|2"},
		{sql: "select 1 from dual where 1 = 1.0d and 2 > 1.5f and '1.5' = 1.5d", want: "1"},
		{sql: "select to_char(-1234.5, '9G999D99'), to_char(0, '9'), to_char(0, 'FM90.00'), to_char(1.5, 'TM9') from dual", want: "-1,234.50| 0|0.00|1.5"},
		{sql: "select to_char(1e-5, '9.9EEEE'), to_char(0, '9.9EEEE'), to_char(9.99, '9.9EEEE'), to_char(-3, 'S9'), to_char(3, '9S') from dual", want: "  1.0E-05|  0.0E+00|  1.0E+01|-3|3+"},
		{sql: "select to_char(-1, 'XX'), to_char(4096, 'XX') from dual", want: "###|###"},
		{sql: "select to_number('<5>', '9PR'), to_number('5-', '9MI'), to_number('$5', '$9') from dual", want: "-5|-5|5"},
		{sql: "select to_number('12', '9'), 1 from dual", code: 1722}, {sql: "select to_number('G', 'X') from dual", code: 1722},
		{sql: "select to_number('1', '9.9.9') from dual", code: 1481}, {sql: "select to_char(1, '9', 'x', 'y') from dual", code: 939},
		{sql: "select cast(1.5 as integer), cast('7' as int), cast(1 as binary_float), cast(2 as float), cast(3 as double precision), cast(1.23 as dec(2,1)) from dual", want: "2|7|1|2|3|1.2"},
		{sql: "select cast(100 as number(2)) from dual", code: 1438},
		{sql: "select bitand(6, 'x') from dual", code: 1722}, {sql: "select 1 from dual where rownum <= 'x'", code: 1722},
		{sql: "select ora_hash('a', 9) - ora_hash('a', 9), case when ora_hash('a') > 0 then 1 end from dual", want: "0|1"},
	})
}

func TestMoreComparisons(t *testing.T) {
	s := newSession(t, newEngine(t))
	must(t, s, "create table t (a number, b varchar2(5), c char(5), d date, r raw(2), z timestamp with time zone)",
		"insert into t values (1, 'x', 'x', date '2024-01-01', 'FF', timestamp '2024-01-01 00:00:00 +00:00')", "commit")
	check(t, s, []sqlCase{
		{sql: "select 1 from t where (a, b) = (select 1, 'x' from dual)", want: "1"},
		{sql: "select 1 from t where (a, b) in (select 1, 'x' from dual)", want: "1"},
		{sql: "select 1 from t where (a, b) not in ((2, 'x'), (1, 'y'))", want: "1"},
		{sql: "select 1 from t where (a, b) < (select 1, 'x' from dual)", code: 1796},
		{sql: "select 1 from t where (a, b) in ((1, 2, 3))", code: 1796},
		{sql: "select 1 from t where a in (select 1, 2 from dual)", code: 913},
		{sql: "select 1 from t where (a, b) in (select 1 from dual)", code: 947},
		{sql: "select 1 from t where a = (select 1, 2 from dual)", code: 913},
		{sql: "select 1 from t where a >= all (select 1 from dual union select 0 from dual) and a = any (select 1 from dual)", want: "1"},
		{sql: "select 1 from t where a > any (select 1, 2 from dual)", code: 913},
		{sql: "select 1 from t where a <> all (2, 3) and a = some (1, 2)", want: "1"},
		{sql: "select 1 from t where c = 'x' and c in ('x', 'y')", want: "1"},
		{sql: "select 1 from t where r = 'FF' and 'ff' = r", want: "1"},
		{sql: "select 1 from t where d = '01-JAN-24' and '01-JAN-24' = d and d between date '2023-01-01' and timestamp '2025-01-01 00:00:00'", want: "1"},
		{sql: "select 1 from t where d = timestamp '2024-01-01 00:00:00' and z = d and z < systimestamp and z = timestamp '2024-01-01 02:00:00 +02:00'", want: "1"},
		{sql: "select 1 from t where d = 5", code: 932}, {sql: "select 1 from t where a", code: 920}, {sql: "select a = 1 from t", code: 923},
		{sql: "select 1 from t where not (a = 2) and not a is null and b is not null and not b like 'y' and a not between 2 and 3", want: "1"},
		{sql: "select 1 from t where '1' = a and '1' < 2 and a <= '1'", want: "1"},
		{sql: "select 1 from t where length(b) = 1 and 1 = length(b) and length(b) = length(c) - 4 and length(b) < 1.5", want: "1"},
		{sql: "select decode(d, date '2024-01-01', 'y', 'n'), decode(a, 2, 'x', 1, 'w'), nvl2(null, 1, '2') from t", want: "y|w|2"},
		{sql: "select a from t where b like 'x' escape 'ab'", code: 1425}, {sql: "select a from t where b like 'x\\' escape '\\'", code: 1424},
		{sql: "select a from t where b like null", want: ""},
		{sql: "select x.a from t x where exists (select 1 from t where t.a = x.a and x.b = b)", want: "1"},
		{sql: "select scott.t.a from t", want: "1"}, {sql: "select scott.t.a from scott.t", want: "1"}, {sql: "select t.* from scott.t where t.a = 2", want: ""},
		{sql: "select nothere.* from t", code: 904}, {sql: "select u.t.a from t", code: 904},
		{sql: "select count(*) from t where a = 1 having count(*) > 5", want: ""},
		{sql: "select max(count(*)) from t group by a", code: 934},
	})
}

func TestMoreTimes(t *testing.T) {
	s := newSession(t, newEngine(t))
	check(t, s, []sqlCase{
		{sql: "select to_char(to_date('13:05', 'HH24:MI'), 'HH12:MI AM A.M. am SSSSS') from dual", want: "01:05 PM P.M. pm 47100"},
		{sql: "select to_char(date '2024-03-05', 'YYY YY Y RR CC IYYY IY W Q AD B.C. Y,YYY J'), to_char(date '2024-03-05', 'DS'), to_char(date '2024-03-05', 'DL'), to_char(date '2024-03-05', 'TS X') from dual",
			want: "024 24 4 24 21 2024 24 1 1 AD A.D. 2,024 2460375|3/5/2024|Tuesday, March 05, 2024|12:00:00 AM ."},
		{sql: "select to_char(timestamp '2024-03-05 01:02:03.4 -05:30', 'TZH:TZM TZR TZD FF FF1') from dual", want: "-05:30 -05:30 GMT 400000 4"},
		{sql: "select to_char(date '2024-03-05', 'MONTH|Month|mon|DAY|Dy|dy') from dual", want: "MARCH    |March    |mar|TUESDAY  |Tue|tue"},
		{sql: "select to_date('5 March 2024', 'DD Month YYYY'), to_date('2024065', 'YYYYDDD'), to_date('2460375', 'J'), to_date('20240305', 'YYYYMMDD') from dual",
			want: "2024-03-05T00:00:00|2024-03-05T00:00:00|2024-03-05T00:00:00|2024-03-05T00:00:00"},
		{sql: "select to_date('03/05/99', 'MM/DD/RR'), to_date('03/05/24', 'MM/DD/RR'), to_date('03-05-2024', 'MM/DD/RR'), to_date('2024-3-5', 'YYYY-MM-DD') from dual",
			want: "1999-03-05T00:00:00|2024-03-05T00:00:00|2024-03-05T00:00:00|2024-03-05T00:00:00"},
		{sql: "select to_date('1 PM', 'HH AM') - trunc(sysdate, 'MM'), to_date('47100', 'SSSSS') - trunc(sysdate, 'MM') from dual", want: "0.5416666666666666666666666666666666666667|0.5451388888888888888888888888888888888889"},
		{sql: "select to_date('Tue 05-MAR-2024', 'DY DD-MON-YYYY'), to_date('\"x\"', '\"x\"') from dual", code: 1861},
		{sql: "select to_timestamp_tz('2024-03-05 10:00 UTC', 'YYYY-MM-DD HH24:MI TZR') from dual", want: "2024-03-05T10:00:00+00:00"},
		{sql: "select to_timestamp_tz('2024-03-05 10:00 Mars', 'YYYY-MM-DD HH24:MI TZR') from dual", code: 1882},
		{sql: "select to_date('25', 'HH24') from dual", code: 1850}, {sql: "select to_date('13', 'HH') from dual", code: 1849},
		{sql: "select to_date('61', 'MI') from dual", code: 1851}, {sql: "select to_date('61', 'SS') from dual", code: 1852},
		{sql: "select to_date('32', 'DD') from dual", code: 1847}, {sql: "select to_date('0000', 'YYYY') from dual", code: 1841},
		{sql: "select to_date('400', 'DDD') from dual", code: 1848}, {sql: "select to_date('Foo', 'MON') from dual", code: 1843},
		{sql: "select to_date('1', '\"open') from dual", code: 1861}, {sql: "select to_char(sysdate, 'N') from dual", code: 1821},
		{sql: "select to_date('1', 'YYYYMMDD') from dual", code: 1858},
		{sql: "select trunc(date '2024-08-15', 'Q'), trunc(date '2024-08-15', 'YYYY'), trunc(date '2024-08-15', 'IW'), trunc(date '2024-08-15', 'D'), trunc(date '2024-08-15', 'W') from dual",
			want: "2024-07-01T00:00:00|2024-01-01T00:00:00|2024-08-12T00:00:00|2024-08-11T00:00:00|2024-08-15T00:00:00"},
		{sql: "select trunc(timestamp '2024-08-15 13:40:50', 'HH24'), trunc(timestamp '2024-08-15 13:40:50', 'MI'), round(timestamp '2024-08-15 13:40:50', 'HH'), round(timestamp '2024-08-15 13:40:50', 'MI') from dual",
			want: "2024-08-15T13:00:00|2024-08-15T13:40:00|2024-08-15T14:00:00|2024-08-15T13:41:00"},
		{sql: "select round(date '2024-08-16', 'MM'), round(date '2024-08-15', 'YYYY'), round(date '2024-08-15', 'Q'), round(date '2024-08-15', 'IW'), round(timestamp '2024-08-15 11:00:00') from dual",
			want: "2024-09-01T00:00:00|2025-01-01T00:00:00|2024-07-01T00:00:00|2024-08-12T00:00:00|2024-08-15T00:00:00"},
		{sql: "select trunc(sysdate, 'XX') from dual", code: 1898}, {sql: "select round(sysdate, 'XX') from dual", code: 1898},
		{sql: "select months_between(date '2024-03-15', date '2024-02-14'), months_between(date '2024-02-29', date '2024-01-31') from dual", want: "1.03225806451612903225806451612903225806|1"},
		{sql: "select add_months(date '2024-02-29', 12), add_months(date '2024-03-31', -1), add_months(date '2024-01-15', 1) from dual", want: "2025-02-28T00:00:00|2024-02-29T00:00:00|2024-02-15T00:00:00"},
		{sql: "select add_months(date '9999-12-31', 1) from dual", code: 1841}, {sql: "select date '9999-12-31' + 1 from dual", code: 1841}, {sql: "select sysdate + 1e30 from dual", code: 1841},
		{sql: "select next_day(sysdate, 'noday') from dual", code: 1846},
		{sql: "select interval '1-6' year to month, interval '2' month, interval '-3' day, interval '1 02:03:04.5' day to second, interval '2:30' hour to minute from dual",
			want: "+01-06|+00-02|-000000003 00:00:00.000000000|+000000001 02:03:04.500000000|+000000000 02:30:00.000000000"},
		{sql: "select date '2024-01-31' + interval '1' month, interval '1' day * 2, interval '1' hour / 2, - interval '1' day, interval '1' day + interval '2' hour, interval '1' day - interval '2' hour from dual",
			want: "2024-02-29T00:00:00|+000000002 00:00:00.000000000|+000000000 00:30:00.000000000|-000000001 00:00:00.000000000|+000000001 02:00:00.000000000|+000000000 22:00:00.000000000"},
		{sql: "select interval '1' day + 1 from dual", code: 932}, {sql: "select 5 - sysdate from dual", code: 932}, {sql: "select sysdate * 2 from dual", code: 932},
		{sql: "select 1 + date '2024-01-01', date '2024-01-02' - '1', numtodsinterval(90, 'MINUTE'), numtoyminterval(1.5, 'YEAR'), numtoyminterval(2, 'month') from dual",
			want: "2024-01-02T00:00:00|2024-01-01T00:00:00|+000000000 01:30:00.000000000|+01-06|+00-02"},
		{sql: "select numtodsinterval(1, 'WEEK') from dual", code: 1760}, {sql: "select to_dsinterval('1 00:00:01'), to_char(interval '1' day) from dual", want: "+000000001 00:00:01.000000000|+000000001 00:00:00.000000000"},
		{sql: "select interval '1' week from dual", code: 1867}, {sql: "select interval 'x' day from dual", code: 1867}, {sql: "select to_dsinterval('x') from dual", code: 1867},
		{sql: "select extract(day from interval '3 04:05:06.7' day to second), extract(hour from interval '3 04:05:06.7' day to second), extract(second from interval '3 04:05:06.7' day to second), extract(month from interval '1-2' year to month) from dual", want: "3|4|6.7|2"},
		{sql: "select extract(timezone_hour from timestamp '2024-01-01 00:00:00 -05:30'), extract(minute from timestamp '2024-01-01 00:07:00') from dual", want: "-5|7"},
		{sql: "select extract(epoch from sysdate) from dual", code: 30076}, {sql: "select extract(epoch from interval '1' day) from dual", code: 30076}, {sql: "select extract(year from '2024-01-01') from dual", code: 30076},
		{sql: "select from_tz(timestamp '2024-01-01 12:00:00', '+03:00'), sys_extract_utc(timestamp '2024-01-01 12:00:00 +03:00') from dual", want: "2024-01-01T12:00:00+03:00|2024-01-01T09:00:00"},
		{sql: "select from_tz(timestamp '2024-01-01 12:00:00', 'Mars/Phobos') from dual", code: 1882},
		{sql: "select timestamp '2024-01-01 12:00:00' at local, timestamp '2024-07-01 12:00:00 +00:00' at time zone 'Europe/Berlin' from dual", want: "2024-01-01T12:00:00+00:00|2024-07-01T14:00:00+02:00"},
		{sql: "select tz_offset('UTC'), tz_offset('nowhere') from dual", code: 1882},
		{sql: "select cast('05-MAR-24' as date), cast(timestamp '2024-03-05 01:02:03.6' as date), cast(date '2024-03-05' as timestamp), cast(date '2024-03-05' as timestamp with time zone) from dual",
			want: "2024-03-05T00:00:00|2024-03-05T01:02:03|2024-03-05T00:00:00|2024-03-05T00:00:00+00:00"},
		{sql: "alter session set nls_date_format = 'bad'", code: 1821}, {sql: "alter session set time_zone = 'Mars'", code: 1882},
		{sql: "alter session set time_zone = 'Europe/Berlin' nls_language = 'GERMAN'", want: "0"}, {sql: "select sessiontimezone from dual", want: "Europe/Berlin"},
		{sql: "select case when current_timestamp - systimestamp < interval '1' second and current_date > sysdate and localtimestamp > sysdate then 1 end from dual", want: "1"},
		{sql: "select current_timestamp(3), systimestamp(0), localtimestamp(9) from dual where 1 = 0", want: ""},
		{sql: "select sysdate() from dual", code: 923}, {sql: "alter session set nls_timestamp_format = 'YYYY-MM-DD'", want: "0"},
		{sql: "select 'x' || timestamp '2024-03-05 01:02:03' from dual", want: "x2024-03-05"},
	})
	if got, err := run(s, "select systimestamp from dual"); err != nil || !regexp.MustCompile(`\+00:00$`).MatchString(got) {
		t.Error(got, err)
	}
}

func TestMoreText(t *testing.T) {
	s := newSession(t, newEngine(t))
	check(t, s, []sqlCase{
		{sql: "select standard_hash('a', 'SHA256') - 1 from dual", code: 932},
		{sql: "select length(standard_hash('a')), length(standard_hash('a', 'SHA256')), length(standard_hash('a', 'SHA384')), length(standard_hash('a', 'SHA512')) from dual", want: "20|32|48|64"},
		{sql: "select standard_hash('a', 'CRC') from dual", code: 905},
		{sql: "select to_blob(hextoraw('01')), to_blob('02'), empty_blob(), dump('ab') from dual", want: "blob:01|blob:02|blob:|Typ=1 Len=2: 97,98"},
		{sql: "select utl_raw.concat(hextoraw('01'), hextoraw('02')), hextoraw('01') || hextoraw('02'), utl_raw.length(hextoraw('0102')), hextoraw('1') from dual", want: "x0102|x0102|2|x01"},
		{sql: "select dbms_lob.substr(to_blob(hextoraw('010203')), 2, 2), dbms_lob.instr(to_clob('abc'), 'c'), dbms_lob.substr(to_clob('abc')), dbms_lob.substr(to_blob('01'), 1, 9) from dual", want: "x0203|3|abc|NULL"},
		{sql: "select to_clob('a') || 'b', upper(to_clob('a')), to_char(to_clob('x')), nvl(empty_clob(), 'n') from dual", want: "clob:ab|clob:A|x|clob:"},
		{sql: "select regexp_instr('abc', 'c'), regexp_instr('abc', 'x'), regexp_substr('abc', 'x'), regexp_substr('a', 'a', 9), regexp_replace('aBa', 'b', '-') from dual", want: "3|0|NULL|NULL|aBa"},
		{sql: "select regexp_replace('a.b', '[.]'), regexp_substr('line1', '[0-9]') from dual", want: "ab|1"},
		{sql: "select regexp_substr('a', '(') from dual", code: 12726}, {sql: "select 1 from dual where regexp_like('a\nb', 'a.b', 'n') and not regexp_like('a\nb', 'a.b')", want: "1"},
		{sql: "select translate('abc', '', 'x'), translate('abc', 'abc', 'xyz'), replace('abc', null), replace(null, 'a'), lpad('abc', 2), lpad('a', 0), substr('abc', -9) from dual", want: "NULL|xyz|abc|NULL|ab|NULL|NULL"},
		{sql: "select lpad('a', 'x') from dual", code: 1722}, {sql: "select chr(-1) from dual", code: 1426},
		{sql: "select 1 || null || 2.50 || date '2024-01-02' || hextoraw('FF') || 1.5d from dual", want: "12.502-JAN-24FF1.5"},
		{sql: "select concat('a') from dual", code: 938}, {sql: "select nvl(1) from dual", code: 938}, {sql: "select nvl(1,2,3) from dual", code: 939},
		{sql: "select nvl(null, 'x') + 1 from dual", code: 1722}, {sql: "select nvl('x', 1), case when 1=1 then 'a' else '2' end, greatest('a', 1) from dual", want: "x|a|a"},
		{sql: "select cast('a' as char(3)), cast('abcde' as raw(2)), cast(null as varchar2(5)) from dual", code: 12899},
		{sql: "select cast('a' as char(3)), cast('ab' as raw(2)), cast(hextoraw('AB') as varchar2(4)), cast(1 as varchar2(1 char)) from dual", want: "a  |xAB|AB|1"},
		{sql: "select n'x', U_ from (select 'y' as u_ from dual)", want: "x|y"}, {sql: "select q'!a'b!' from dual", want: "a'b"},
		{sql: "select q'[a from dual", code: 1756}, {sql: "select \"\" from dual", code: 1741}, {sql: "select 1 /* open from dual", code: 1742}, {sql: "select : + 1 from dual", code: 1745},
		{sql: "select 'tab\tnew\nline' from dual", want: "tab\tnew\nline"}, {sql: "select 1 from dual;", want: "1"},
		{sql: "select \"DUMMY\" as \"lower\" from \"DUAL\"", want: "X"}, {sql: "select \"dummy\" from dual", code: 904},
		{sql: "select userenv('sid'), sys_context('nothing', 'x'), sys_context('userenv', 'language') from dual", want: "41|NULL|AMERICAN_AMERICA.AL32UTF8"},
		{sql: "select sys_context('userenv') from dual", code: 938}, {sql: "select userenv() from dual", code: 938},
		{sql: "select sys.standard.upper('a'), standard.lower('A') from dual", want: "A|a"},
		{sql: "select decode(1, 2) from dual", code: 938}, {sql: "select to_date() from dual", code: 938}, {sql: "select round() from dual", code: 938}, {sql: "select count(1, 2) from dual", code: 909},
		{sql: "select row_number() from dual", code: 904}, {sql: "select upper('a') over () from dual", code: 30484},
		{sql: "select dbms_transaction.local_transaction_id from dual", code: 904}, {sql: "select dbms_transaction.local_transaction_id() from dual", want: "NULL"},
		{sql: "select dbms_lob.lobmaxsize - 1 from dual", want: "9007199254740991"},
	})
}
