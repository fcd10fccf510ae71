package broker

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"servicebroker/descriptor"
	"servicebroker/relay"
)

// What people get wrong in parameter files, told in their own words.

// sections are the groups that a CONFIGURATION is made of.
var sections = []string{"ADDRESS", "ADDRESS_LIST", "RULE_LIST", "RULE_GROUP", "RULE", "PARAMETER_LIST", "ACTION_LIST", "CONFIGURATION", "NEXT_HOP"}

// misspelt returns the section that a group is meant to be whose name is none, "" for none.
func misspelt(n *descriptor.Node) string {
	if len(n.Children) == 0 {
		return ""
	}
	if near := nearest(n.Name, sections); edits(strings.ToUpper(n.Name), near) <= 2 {
		return near
	}
	return ""
}

// bare says that a group has a text where it should have groups, and reports whether it has.
func (r *reader) bare(n *descriptor.Node) bool {
	if len(n.Children) > 0 || n.Value == "" {
		return false
	}
	name := strings.ToUpper(n.Name)
	example := "(" + name + "=(NAME=value))"
	switch word, _, assigned := strings.Cut(n.Value, "="); {
	case name == "ADDRESS":
		example = "(ADDRESS=(PROTOCOL=tcp)(HOST=0.0.0.0)(PORT=1521))"
	case assigned && len(strings.TrimSpace(word)) < 64:
		example = fmt.Sprintf("(%s=(%s=…))", name, strings.TrimSpace(word))
	}
	r.say(n, SeverityError, "what follows %s= is not in parentheses: write %s", name, example)
	return true
}

// wordsForRules are what people write who know other tools, or the names in a connect descriptor.
var wordsForRules = map[string]string{
	"SERVICE": "SRV", "SERVICES": "SRV", "SERVICE_NAME": "SRV", "SID": "SRV", "SOURCE": "SRC", "FROM": "SRC", "CLIENT": "SRC", "HOST": "DST",
	"DESTINATION": "DST", "DEST": "DST", "TO": "DST", "ACTION": "ACT",
}

// ruleWord returns the condition or action that a word in a RULE is meant to be, the word itself
// if it is like none.
func ruleWord(name string) string {
	name = strings.ToUpper(name)
	if slices.Contains(ruleWords, name) {
		return name
	}
	if word := wordsForRules[name]; word != "" {
		return word
	}
	return cmp.Or(likely(name, ruleWords), name)
}

// isActionWord tells what belongs into an ACTION_LIST.
func isActionWord(name string) bool {
	name = strings.ToUpper(name)
	return slices.Contains([]string{"AUT", "CONN_STATS", "MCT", "MIT", "MOCT"}, name) || slices.Contains(treatments, name)
}

// strayActions reads actions that stand in their RULE directly.
func (r *reader) strayActions(rule *relay.Rule, all []*descriptor.Node) {
	if len(all) == 0 {
		return
	}
	r.say(all[0], SeverityWarning, "%s stands in the RULE, and is read as if it stood in its ACTION_LIST: write (ACTION_LIST=(%s=%s))",
		strings.ToUpper(all[0].Name), strings.ToUpper(all[0].Name), all[0].Value)
	r.readActions(rule, &descriptor.Node{Name: "ACTION_LIST", Children: all, Line: all[0].Line, Column: all[0].Column})
}

// partialStars reads 10.1.*.* and 10.1.x.x, which Connection Manager took until Oracle 9i and
// people still write, as the network that is meant.
func partialStars(text string) (network netip.Prefix, is bool) {
	parts := strings.Split(strings.ToLower(text), ".")
	known := 0
	for known < len(parts) && parts[known] != "*" && parts[known] != "x" {
		known++
	}
	if known == 0 || known == len(parts) || len(parts) > 4 || slices.ContainsFunc(parts[known:], func(p string) bool { return p != "*" && p != "x" }) {
		return netip.Prefix{}, false
	}
	address, err := netip.ParseAddr(strings.Join(append(slices.Clone(parts[:known]), "0", "0", "0", "0")[:4], "."))
	if err != nil {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(address, 8*known), true
}

// strange finds a character that word processors and web pages put in place of another.
func strange(text string) (is, meant string) {
	for _, c := range text {
		switch c {
		case '“', '”', '„', '«', '»':
			return string(c), `"`
		case '‘', '’', '‚':
			return string(c), `'`
		case '（':
			return string(c), "("
		case '）':
			return string(c), ")"
		case '＝':
			return string(c), "="
		case '\u00a0', '\u200b', '\u3000':
			return fmt.Sprintf("U+%04X", c), "blank"
		}
	}
	return "", ""
}

// sayStrange says where there are such characters.
func (r *reader) sayStrange(n *descriptor.Node) {
	for _, text := range []string{n.Name, n.Value} {
		if is, meant := strange(text); is != "" {
			r.say(n, SeverityWarning, "there is a %s here, which word processors write: type a plain %s in its place", is, meant)
			return
		}
	}
	for _, child := range n.Children {
		r.sayStrange(child)
	}
}

// hint finds what people take for sense, in the line where the text stops making sense or in
// one before it.
func hint(content string, line int) (at int, problem, remedy string) {
	first := strings.TrimSpace(strings.SplitN(strings.TrimSpace(content), "\n", 2)[0])
	switch {
	case strings.HasPrefix(first, "{") && placeholderIn(first) == "":
		return 1, "this looks like JSON", "write NAME = (CONFIGURATION=…), as Connection Manager has it"
	case strings.HasPrefix(first, "apiVersion:"), strings.HasPrefix(first, "kind:"), first == "---":
		return 1, "this looks like a Kubernetes manifest", "put what stands under its cman.ora: into a file of its own"
	}
	lines := strings.Split(content, "\n")
	text := strings.TrimSpace(lines[max(0, min(line, len(lines))-1)])
	for _, begin := range []string{"--", "//", ";", "/*", "REM ", "rem ", "!"} {
		if strings.HasPrefix(text, begin) {
			return line, fmt.Sprintf("%q begins nothing", strings.TrimSpace(begin)), "begin comments with #, or take it out"
		}
	}
	if word := placeholderIn(text); word != "" {
		return line, word + " is the placeholder of a template", "put the real value in its place"
	}
	for i, line := range lines { // code of a template, of which the text stops making sense later
		if word := placeholderIn(line); strings.HasPrefix(word, "{%") {
			return i + 1, word + " is the placeholder of a template", "put the real value in its place"
		}
	}
	if is, meant := strange(text); is != "" {
		return line, "there is a " + is + " here, which word processors write", "type a plain " + meant + " in its place"
	}
	return 0, "", ""
}

// badHost tells what is wrong with a name to listen on or to connect to, "" if nothing is.
func badHost(host string) string {
	name, port, colon := strings.Cut(host, ":")
	switch _, err := netip.ParseAddr(host); {
	case err == nil:
		return ""
	case colon && strings.Trim(port, "0123456789") == "" && port != "" && isHostName(name):
		return fmt.Sprintf("HOST=%s has a port in it: write (HOST=%s)(PORT=%s)", host, name, port)
	case strings.HasPrefix(host, "."), strings.Contains(host, ".."):
		return fmt.Sprintf("HOST=%s has an empty part: write its whole name, or its address", host)
	}
	return ""
}
