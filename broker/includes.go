package broker

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"servicebroker/descriptor"
)

// assignment is one NAME=value of a file.
type assignment struct {
	*descriptor.Node
	file string
}

// Bounds on what is read.
const (
	maxFileBytes  = 4 << 20
	maxIncludes   = 8 // files that include each other, one within the other
	maxIncludeAll = 64
)

// load reads a file and all it includes by IFILE, in order. by are the files through which
// it is included.
func (r *reader) load(file string, by []string) []*assignment {
	r.file = file
	r.config.Files = append(r.config.Files, file)
	content, err := r.open(file)
	if err != nil {
		r.say(nil, SeverityError, "cannot be read: %v", err)
		return nil
	}
	roots, err := descriptor.ParseFile(content)
	if err != nil {
		r.saySyntax(content, err)
		return nil
	}
	var all []*assignment
	for _, root := range roots {
		r.sayStrange(root)
		if !strings.EqualFold(root.Name, "IFILE") {
			all = append(all, &assignment{root, file})
			continue
		}
		all = append(all, r.include(root, append(slices.Clone(by), file))...)
		r.file = file
	}
	return all
}

// include reads the file that an IFILE names.
func (r *reader) include(n *descriptor.Node, by []string) []*assignment {
	path := n.Value
	if path == "" && len(n.Children) == 1 {
		path = n.Children[0].Value
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(r.file), path)
	}
	switch {
	case n.Value == "" && len(n.Children) == 0:
		r.say(n, SeverityError, "IFILE names no file: write IFILE=path, or take it out")
	case slices.Contains(by, path):
		r.say(n, SeverityError, "IFILE=%s: that file includes this one: take one of the two out", n.Value)
	case len(by) >= maxIncludes || len(r.config.Files) >= maxIncludeAll:
		r.say(n, SeverityError, "IFILE=%s: too many files include each other: put them into one", n.Value)
	default:
		if _, err := r.open(path); err != nil {
			r.say(n, SeverityError, "IFILE: %s cannot be read: %v", path, err)
			return nil
		}
		return r.load(path, by)
	}
	return nil
}

// readFile reads a parameter file. The error says what to do.
func readFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("%w: see whether it is spelt as it is called, and whether this user may read it", errors.Unwrap(err))
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && !info.Mode().IsRegular() && info.IsDir() {
		return "", fmt.Errorf("it is a folder: name the file in it, such as %s", filepath.Join(path, "cman.ora"))
	}
	content, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("%w: see whether it is a file", err)
	case len(content) > maxFileBytes:
		return "", fmt.Errorf("it has more than %d bytes: name a parameter file, or split it with IFILE", maxFileBytes)
	case bytes.HasPrefix(content, []byte("\xff\xfe")), bytes.HasPrefix(content, []byte("\xfe\xff")):
		return "", errors.New("it is written in UTF-16: save it as UTF-8 or plain text")
	case bytes.IndexByte(content, 0) >= 0:
		return "", errors.New("it has bytes that no text has: name a parameter file")
	}
	return string(content), nil
}

// saySyntax says where the text stops making sense, and where the cause is likely to be.
func (r *reader) saySyntax(content string, err error) {
	var syntax *descriptor.SyntaxError
	if !errors.As(err, &syntax) {
		r.say(nil, SeverityError, "%v", err)
		return
	}
	place := &descriptor.Node{Line: syntax.Line, Column: syntax.Column}
	if line, problem, remedy := hint(content, syntax.Line); problem != "" {
		if line != syntax.Line {
			place = &descriptor.Node{Line: line, Column: 1}
		}
		r.say(place, SeverityError, "%s: %s", problem, remedy)
		return
	}
	suspect := findSuspect(content)
	if strings.HasPrefix(syntax.Problem, "the parenthesis") {
		syntax.Remedy += fmt.Sprintf(", in line %d at the latest", strings.Count(strings.TrimRight(content, " \t\r\n"), "\n")+1)
	} else if suspect != nil && suspect.line > syntax.Line {
		suspect = nil // which only follows from what is wrong before it
	}
	if suspect == nil {
		r.say(place, SeverityError, "%s: %s", syntax.Problem, syntax.Remedy)
		return
	}
	r.say(&descriptor.Node{Line: suspect.line, Column: suspect.column}, SeverityError, "%s (what does not fit then is in line %d: %s)", suspect.text, syntax.Line, syntax.Problem)
}
