package sqlengine

// A function says how a call is translated: to which of the engine's SQLite functions, with which arguments, and what
// it yields.
type function struct {
	udf      string
	min, max int
	// arguments has one letter an argument, the last one repeating: t text, n number, i SQLite integer, m moment,
	// x as it is.
	arguments string
	result    resultRule
}

// A resultRule says what type a function yields.
type resultRule uint8

const (
	resultNumber   resultRule = iota
	resultText                // of unknown size
	resultFirst               // like the first argument
	resultSameText            // text as long as the first argument
	resultDate
	resultTimestamp
	resultTimestampTZ
	resultInterval
	resultRaw
	resultCLOB
	resultBLOB
	resultDouble
	resultFloat
	resultBool
	resultNumeric // NUMBER, or BINARY_DOUBLE for one
	resultInteger
)

// functions are those whose translation is regular; compiler.ownRule has the others.
var functions = map[string]function{
	"UPPER":           {"o_upper", 1, 1, "t", resultSameText},
	"NLS_UPPER":       {"o_upper", 1, 1, "t", resultSameText},
	"LOWER":           {"o_lower", 1, 1, "t", resultSameText},
	"NLS_LOWER":       {"o_lower", 1, 1, "t", resultSameText},
	"INITCAP":         {"o_initcap", 1, 1, "t", resultSameText},
	"LTRIM":           {"o_ltrim", 1, 2, "t", resultSameText},
	"RTRIM":           {"o_rtrim", 1, 2, "t", resultSameText},
	"LPAD":            {"o_lpad", 2, 3, "tit", resultText},
	"RPAD":            {"o_rpad", 2, 3, "tit", resultText},
	"SUBSTR":          {"o_substr", 2, 3, "ti", resultSameText},
	"SUBSTRB":         {"o_substr", 2, 3, "ti", resultSameText},
	"SUBSTRC":         {"o_substr", 2, 3, "ti", resultSameText},
	"INSTR":           {"o_instr", 2, 4, "ttii", resultInteger},
	"LENGTH":          {"o_length", 1, 1, "x", resultInteger},
	"LENGTHC":         {"o_length", 1, 1, "x", resultInteger},
	"LENGTHB":         {"o_lengthb", 1, 1, "x", resultInteger},
	"VSIZE":           {"o_lengthb", 1, 1, "x", resultInteger},
	"REPLACE":         {"o_replace", 2, 3, "t", resultText},
	"TRANSLATE":       {"o_translate", 3, 3, "t", resultSameText},
	"REVERSE":         {"o_reverse", 1, 1, "t", resultSameText},
	"CHR":             {"o_chr", 1, 1, "i", resultText},
	"ASCII":           {"o_ascii", 1, 1, "t", resultInteger},
	"REGEXP_LIKE":     {"o_regexp_like", 2, 3, "t", resultBool},
	"REGEXP_REPLACE":  {"o_regexp_replace", 2, 3, "t", resultText},
	"REGEXP_SUBSTR":   {"o_regexp_substr", 2, 4, "ttii", resultSameText},
	"REGEXP_INSTR":    {"o_regexp_instr", 2, 2, "t", resultInteger},
	"REGEXP_COUNT":    {"o_regexp_count", 2, 2, "t", resultInteger},
	"HEXTORAW":        {"o_hextoraw", 1, 1, "t", resultRaw},
	"RAWTOHEX":        {"o_rawtohex", 1, 1, "x", resultText},
	"TO_CLOB":         {"o_clob", 1, 1, "t", resultCLOB},
	"TO_NCLOB":        {"o_clob", 1, 1, "t", resultCLOB},
	"TO_BLOB":         {"o_blob", 1, 1, "x", resultBLOB},
	"ROWIDTOCHAR":     {"o_text", 1, 1, "x", resultText},
	"CHARTOROWID":     {"o_text", 1, 1, "x", resultText},
	"STANDARD_HASH":   {"o_standard_hash", 1, 2, "t", resultRaw},
	"ORA_HASH":        {"o_hash", 1, 2, "ti", resultNumber},
	"DUMP":            {"o_dump", 1, 1, "x", resultText},
	"ABS":             {"o_abs", 1, 1, "n", resultNumeric},
	"CEIL":            {"o_ceil", 1, 1, "n", resultNumeric},
	"FLOOR":           {"o_floor", 1, 1, "n", resultNumeric},
	"MOD":             {"o_mod", 2, 2, "n", resultNumeric},
	"REMAINDER":       {"o_mod", 2, 2, "n", resultNumeric},
	"POWER":           {"o_power", 2, 2, "n", resultNumeric},
	"SQRT":            {"o_sqrt", 1, 1, "n", resultNumeric},
	"SIGN":            {"o_sign", 1, 1, "n", resultInteger},
	"EXP":             {"o_exp", 1, 1, "n", resultNumeric},
	"LN":              {"o_ln", 1, 1, "n", resultNumeric},
	"LOG":             {"o_log", 2, 2, "n", resultNumeric},
	"SIN":             {"o_sin", 1, 1, "n", resultNumeric},
	"COS":             {"o_cos", 1, 1, "n", resultNumeric},
	"TAN":             {"o_tan", 1, 1, "n", resultNumeric},
	"BITAND":          {"o_bitand", 2, 2, "i", resultInteger},
	"TO_BINARY_FLOAT": {"o_float", 1, 1, "x", resultFloat},
	"TO_BINARY_DOUBLE": {
		"o_double", 1, 1, "x", resultDouble},
	"ADD_MONTHS":      {"o_add_months", 2, 2, "mi", resultDate},
	"MONTHS_BETWEEN":  {"o_months_between", 2, 2, "m", resultNumber},
	"LAST_DAY":        {"o_last_day", 1, 1, "m", resultDate},
	"NEXT_DAY":        {"o_next_day", 2, 2, "mt", resultDate},
	"NUMTODSINTERVAL": {"o_numtointerval", 2, 2, "nt", resultInterval},
	"NUMTOYMINTERVAL": {"o_numtointerval", 2, 2, "nt", resultInterval},
	"FROM_TZ":         {"o_from_tz", 2, 2, "mt", resultTimestampTZ},
	"SYS_EXTRACT_UTC": {"o_utc", 1, 1, "m", resultTimestamp},
	"TZ_OFFSET":       {"o_tz_offset", 1, 1, "t", resultText},
	"SYS_GUID":        {"o_sys_guid", 0, 0, "", resultRaw},

	"UTL_RAW.CAST_TO_RAW":      {"o_cast_to_raw", 1, 1, "t", resultRaw},
	"UTL_RAW.CAST_TO_VARCHAR2": {"o_cast_to_text", 1, 1, "x", resultText},
	"UTL_RAW.LENGTH":           {"o_lengthb", 1, 1, "x", resultInteger},
	"UTL_RAW.CONCAT":           {"o_raw_cat", 1, 12, "x", resultRaw},
	"DBMS_LOB.GETLENGTH":       {"o_lob_length", 1, 1, "x", resultInteger},
	"DBMS_LOB.SUBSTR":          {"o_lob_substr", 1, 3, "xi", resultText},
	"DBMS_LOB.INSTR":           {"o_instr", 2, 4, "ttii", resultInteger},
	"DBMS_RANDOM.VALUE":        {"o_random", 0, 2, "n", resultNumber},
	"DBMS_RANDOM.RANDOM":       {"o_random_integer", 0, 0, "", resultInteger},
	"DBMS_RANDOM.STRING":       {"o_random_string", 2, 2, "ti", resultText},
}

// An aggregate says how a group function is translated.
type aggregate struct {
	udf        string
	arguments  string
	result     resultRule
	windowOnly bool // ROW_NUMBER and the like
	min, max   int
}

var aggregates = map[string]aggregate{
	"SUM":        {udf: "o_sum", arguments: "n", result: resultNumeric, min: 1, max: 1},
	"AVG":        {udf: "o_avg", arguments: "n", result: resultNumeric, min: 1, max: 1},
	"MEDIAN":     {udf: "o_median", arguments: "n", result: resultNumeric, min: 1, max: 1},
	"STDDEV":     {udf: "o_stddev", arguments: "n", result: resultNumeric, min: 1, max: 1},
	"VARIANCE":   {udf: "o_variance", arguments: "n", result: resultNumeric, min: 1, max: 1},
	"MIN":        {udf: "min", arguments: "x", result: resultFirst, min: 1, max: 1},
	"MAX":        {udf: "max", arguments: "x", result: resultFirst, min: 1, max: 1},
	"COUNT":      {udf: "count", arguments: "x", result: resultInteger, min: 1, max: 1},
	"LISTAGG":    {udf: "group_concat", arguments: "t", result: resultText, min: 1, max: 2},
	"ROW_NUMBER": {udf: "row_number", result: resultInteger, windowOnly: true},
	"RANK":       {udf: "rank", result: resultInteger, windowOnly: true},
	"DENSE_RANK": {udf: "dense_rank", result: resultInteger, windowOnly: true},
	"NTILE":      {udf: "ntile", arguments: "i", result: resultInteger, windowOnly: true, min: 1, max: 1},
	"LAG":        {udf: "lag", arguments: "xix", result: resultFirst, windowOnly: true, min: 1, max: 3},
	"LEAD":       {udf: "lead", arguments: "xix", result: resultFirst, windowOnly: true, min: 1, max: 3},
	"FIRST_VALUE": {
		udf: "first_value", arguments: "x", result: resultFirst, windowOnly: true, min: 1, max: 1},
	"LAST_VALUE": {
		udf: "last_value", arguments: "x", result: resultFirst, windowOnly: true, min: 1, max: 1},
}

// resultType applies a rule to the translated arguments.
func resultType(rule resultRule, arguments []coded) datatype {
	var first datatype
	if len(arguments) > 0 {
		first = arguments[0].typ
	}
	first.NotNull = false
	switch rule {
	case resultText:
		return textOf(usualVarchar)
	case resultFirst:
		return first
	case resultSameText:
		if first.Kind == kindCLOB {
			return first
		}
		return textOf(orDefault(first.Size, usualVarchar))
	case resultDate:
		return ofKind(kindDate)
	case resultTimestamp:
		return ofKind(kindTimestamp)
	case resultTimestampTZ:
		return ofKind(kindTimestampTZ)
	case resultInterval:
		return ofKind(kindInterval)
	case resultRaw:
		return ofKind(kindRaw)
	case resultCLOB:
		return ofKind(kindCLOB)
	case resultBLOB:
		return ofKind(kindBLOB)
	case resultDouble:
		return ofKind(kindDouble)
	case resultFloat:
		return ofKind(kindFloat)
	case resultBool:
		return ofKind(kindBool)
	case resultInteger:
		return ofKind(kindInteger)
	case resultNumeric:
		return arithmeticType(first, ofKind(kindNumber))
	}
	return ofKind(kindNumber)
}
