package sqlengine

import (
	"crypto/md5"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"database/sql/driver"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"strings"
)

func hexUpper(b []byte) string { return strings.ToUpper(hex.EncodeToString(b)) }

func rawFunctions() []scalar {
	return []scalar{
		{name: "o_hextoraw", args: 1, call: func(a []driver.Value) (driver.Value, error) {
			b, err := hexToRaw(text(a[0]))
			return raw(b), err
		}},
		{name: "o_rawtohex", args: 1, call: func(a []driver.Value) (driver.Value, error) { return hexUpper(bytesOf(a[0])), nil }},
		{name: "o_raw_cat", args: -1, nulls: true, call: func(a []driver.Value) (driver.Value, error) {
			var out []byte
			for _, v := range a {
				out = append(out, bytesOf(v)...)
			}
			return raw(out), nil
		}},
		{name: "o_cast_to_raw", args: 1, call: func(a []driver.Value) (driver.Value, error) { return raw([]byte(text(a[0]))), nil }},
		{name: "o_cast_to_text", args: 1, call: func(a []driver.Value) (driver.Value, error) { return string(bytesOf(a[0])), nil }},
		{name: "o_blob", args: 1, call: func(a []driver.Value) (driver.Value, error) {
			if s, ok := a[0].(string); ok {
				b, err := hexToRaw(s)
				return append([]byte{tagRaw}, b...), err
			}
			return append([]byte{tagRaw}, bytesOf(a[0])...), nil
		}},
		{name: "o_clob", args: 1, call: func(a []driver.Value) (driver.Value, error) { return text(a[0]), nil }},
		{name: "o_sys_guid", args: 0, changing: true, call: func([]driver.Value) (driver.Value, error) {
			b := make([]byte, 16)
			_, err := rand.Read(b)
			return raw(b), err
		}},
		{name: "o_standard_hash", args: -1, call: standardHash},
		{name: "o_hash", args: -1, call: func(a []driver.Value) (driver.Value, error) {
			h := fnv.New32a()
			h.Write([]byte(text(a[0])))
			n := int64(h.Sum32())
			if len(a) > 1 {
				buckets, err := integer(a[1])
				if err != nil || buckets < 0 {
					return nil, failure(1428, "argument is out of range")
				}
				n %= buckets + 1
			}
			return encodeNumber(decimalOf(n)), nil
		}},
		{name: "o_dump", args: 1, call: func(a []driver.Value) (driver.Value, error) {
			b := storedText(a[0])
			parts := make([]string, len(b))
			for i := range b {
				parts[i] = fmt.Sprint(b[i])
			}
			return fmt.Sprintf("Typ=1 Len=%d: %s", len(b), strings.Join(parts, ",")), nil
		}},
	}
}

// hexToRaw reads hexadecimal digits; an odd number is led by a zero.
func hexToRaw(s string) ([]byte, error) {
	if len(s)%2 == 1 {
		s = "0" + s
	}
	b, err := hex.DecodeString(s)
	if err != nil {
		return nil, failure(1465, "invalid hex number")
	}
	return b, nil
}

func standardHash(a []driver.Value) (driver.Value, error) {
	algorithm := "SHA1"
	if len(a) > 1 {
		algorithm = strings.ToUpper(text(a[1]))
	}
	b := storedText(a[0])
	switch algorithm {
	case "SHA1":
		sum := sha1.Sum(b)
		return raw(sum[:]), nil
	case "SHA256":
		sum := sha256.Sum256(b)
		return raw(sum[:]), nil
	case "SHA384":
		sum := sha512.Sum384(b)
		return raw(sum[:]), nil
	case "SHA512":
		sum := sha512.Sum512(b)
		return raw(sum[:]), nil
	case "MD5":
		sum := md5.Sum(b)
		return raw(sum[:]), nil
	}
	return nil, failure(905, "missing keyword")
}
