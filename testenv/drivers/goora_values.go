package drivers

import (
	"database/sql"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	goora "github.com/sijms/go-ora/v2"
)

func gooraBinds(values []Value) ([]any, error) {
	arguments := make([]any, len(values))
	for i, v := range values {
		var err error
		if arguments[i], err = gooraBind(v); err != nil {
			return nil, err
		}
	}
	return arguments, nil
}

func gooraBind(v Value) (any, error) {
	if v.Out {
		return goora.Out{Dest: new(sql.NullString), Size: 4000}, nil
	}
	if v.Text == nil {
		return gooraNull(v.Kind), nil
	}
	switch v.Kind {
	case KindNumber:
		if n, err := strconv.ParseInt(*v.Text, 10, 64); err == nil {
			return n, nil
		}
		return strconv.ParseFloat(*v.Text, 64)
	case KindDate, KindTimestamp: // go-ora's own TimeStamp does not get past database/sql
		return time.Parse(timeLayout, *v.Text)
	case KindRaw:
		return hex.DecodeString(*v.Text)
	case KindCLOB:
		return goora.Clob{String: *v.Text, Valid: true}, nil
	}
	return *v.Text, nil
}

// timeLayout takes texts with and without a fraction.
const timeLayout = "2006-01-02T15:04:05"

func gooraNull(kind Kind) any {
	switch kind {
	case KindNumber:
		return sql.NullInt64{}
	case KindDate, KindTimestamp:
		return sql.NullTime{}
	case KindRaw:
		return []byte(nil)
	case KindCLOB:
		return goora.Clob{}
	}
	return sql.NullString{}
}

// gooraText gives a scanned value in the form all drivers share.
func gooraText(v any) *string {
	var text string
	switch v := v.(type) {
	case nil:
		return nil
	case time.Time:
		text = v.Format("2006-01-02T15:04:05.000")
	case []byte:
		text = strings.ToUpper(hex.EncodeToString(v))
	case float64:
		text = strconv.FormatFloat(v, 'f', -1, 64)
	default:
		text = fmt.Sprint(v)
	}
	return &text
}
