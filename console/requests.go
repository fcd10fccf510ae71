package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Bounds of the bodies of requests, in bytes.
const (
	maxBody     = 64 << 10
	maxLoadBody = 1 << 20 // instances may have thousands of services
)

// readBody decodes the body of a request into one of T. It refuses fields that T does not have, since a misspelt wish
// must not be taken for another one; an empty body is an error.
func readBody[T any](w http.ResponseWriter, r *http.Request, limit int64) (T, error) {
	var body T
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, limit))
	d.DisallowUnknownFields()
	err := d.Decode(&body)
	if err == nil {
		if _, more := d.Token(); more != io.EOF {
			err = errors.New("there is something behind the JSON value")
		}
	}
	if err == nil {
		return body, nil
	}
	return body, bodyProblem(err, limit, jsonNames(reflect.TypeFor[T](), nil))
}

// bodyProblem words what is wrong with a body whose fields may have these names.
func bodyProblem(err error, limit int64, names []string) error {
	fields := "fields are " + strings.Join(names, ", ")
	var tooLong *http.MaxBytesError
	var kind *json.UnmarshalTypeError
	quoted, unknown := strings.CutPrefix(err.Error(), "json: unknown field ")
	switch {
	case errors.As(err, &tooLong):
		return &APIError{http.StatusRequestEntityTooLarge, "the body is too long", fmt.Sprintf("send no more than %d bytes", limit)}
	case errors.Is(err, io.EOF):
		return &APIError{http.StatusBadRequest, "there is no body", "send a JSON object; " + fields}
	case unknown:
		name, _ := strconv.Unquote(quoted)
		return &APIError{http.StatusBadRequest, "there is no field " + strconv.Quote(name), suggestion(name, names) + fields}
	case errors.As(err, &kind) && kind.Field != "":
		return &APIError{http.StatusBadRequest, fmt.Sprintf("the field %q cannot be a %s", kind.Field, kind.Value), "its type is " + kind.Type.String()}
	}
	return &APIError{http.StatusBadRequest, "the body cannot be read: " + strings.TrimPrefix(err.Error(), "json: "), "send a JSON object; " + fields}
}

// jsonNames appends the names of the fields of t, those of structures within it included.
func jsonNames(t reflect.Type, names []string) []string {
	switch t.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice:
		return jsonNames(t.Elem(), names)
	case reflect.Struct:
		for f := range t.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "" {
				continue
			}
			names = append(names, name)
			names = jsonNames(f.Type, names)
		}
	}
	return names
}

// suggestion words which of the names was likely meant, "" if none.
func suggestion(name string, names []string) string {
	near := nearest(name, names)
	if len(near) == 0 {
		return ""
	}
	for i := range near {
		near[i] = strconv.Quote(near[i])
	}
	return "did you mean " + strings.Join(near, " or ") + "? "
}

// readQuery hands each value of a query to the reader of its name, where the last one counts that can be given once. A name misspelt must not be overlooked.
func readQuery(q url.Values, readers map[string]func(string) error) error {
	known := slices.Sorted(maps.Keys(readers))
	for _, name := range slices.Sorted(maps.Keys(q)) {
		read, found := readers[name]
		if !found {
			return &APIError{http.StatusBadRequest, fmt.Sprintf("there is no parameter %q", name), suggestion(name, known) + "parameters are " + strings.Join(known, ", ")}
		}
		for _, value := range q[name] {
			if err := read(value); err != nil {
				return &APIError{http.StatusBadRequest, fmt.Sprintf("%s: %v", name, err), ""}
			}
		}
	}
	return nil
}

// textInto reads a parameter as it is.
func textInto(field *string) func(string) error {
	return func(value string) error { *field = value; return nil }
}

// numberInto reads a number from 1 to most.
func numberInto(field *int, most int) func(string) error {
	return func(value string) error {
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 || n > most {
			return fmt.Errorf("%q is no number from 1 to %d", value, most)
		}
		*field = n
		return nil
	}
}
