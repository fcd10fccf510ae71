package broker

import (
	"fmt"
	"slices"
	"strings"

	"servicebroker/descriptor"
	"servicebroker/relay"
	"servicebroker/servicetable"
)

// readRules reads what CONFIGURATION has of rules: a RULE_LIST, a RULE_GROUP, or what
// belongs into one.
func (r *reader) readRules(n *descriptor.Node) {
	switch strings.ToUpper(n.Name) {
	case "RULE_LIST":
		r.ruleForm("RULE_LIST", n)
		r.readRuleList(n, ruleScope{})
	case "RULE_GROUP":
		r.readRuleGroup(n)
	default:
		r.readStray(n)
	}
}

// readStray reads what stands beside the RULE_LIST and belongs into it, as happens
// where a parenthesis is closed too early.
func (r *reader) readStray(n *descriptor.Node) {
	r.say(n, SeverityWarning, "%s stands outside RULE_LIST, and is read as if it were the next in it: check the parentheses before it", n.Name)
	r.readRuleList(&descriptor.Node{Name: "RULE_LIST", Children: []*descriptor.Node{n}, Line: n.Line, Column: n.Column}, ruleScope{})
}

// ruleForm notes which of RULE_LIST and RULE_GROUP is used.
func (r *reader) ruleForm(form string, n *descriptor.Node) {
	if r.rulesAs != "" && r.rulesAs != form {
		r.say(n, SeverityWarning, "the file has RULE_LIST and RULE_GROUP, of which Connection Manager takes one: here their rules are tried in the order of the file")
	}
	r.rulesAs = form
}

// ruleScope is what a rule has from where it stands.
type ruleScope struct {
	group    string   // its name; "": none
	services []string // of the group, that SRV may be left out or has to fit
	dns      []string // of the DN_LIST around it
}

// readRuleGroup reads a RULE_GROUP: groups that name services, each with a RULE_LIST
// for them. What a group is called matters little: any element that has a RULE_LIST is
// one, and so is a RULE_GROUP itself.
func (r *reader) readRuleGroup(n *descriptor.Node) {
	r.ruleForm("RULE_GROUP", n)
	if n.Child("RULE_LIST") != nil {
		r.readGroup(n)
		return
	}
	if len(n.Children) == 0 {
		r.say(n, SeverityError, "RULE_GROUP is empty: write (RULE_GROUP=(GROUP=(SRV=sales)(RULE_LIST=(RULE=(SRC=*)(DST=*)(ACT=accept)))))")
	}
	for _, group := range n.Children {
		if inner := group.Child("DESCRIPTION"); inner != nil && group.Child("RULE_LIST") == nil {
			group = inner
		}
		if group.Child("RULE_LIST") == nil {
			r.say(group, SeverityError, "%s in a RULE_GROUP has no RULE_LIST: write (GROUP=(SRV=sales)(RULE_LIST=(RULE=(SRC=*)(DST=*)(ACT=accept))))", orText(group.Name, group.Value))
			continue
		}
		r.readGroup(group)
	}
}

var groupWords = []string{"SRV", "RULE_LIST", "DN_LIST", "NAME"}

func (r *reader) readGroup(n *descriptor.Node) {
	scope := ruleScope{group: n.Text("NAME")}
	for _, child := range n.Children {
		switch strings.ToUpper(child.Name) {
		case "SRV", "SERVICE", "SERVICES", "SERVICE_NAME", "SERVICE_LIST":
			scope.services = append(scope.services, serviceNames(child)...)
		case "DN_LIST", "DN":
			scope.dns = append(scope.dns, r.readDNs(child)...)
		case "RULE_LIST", "NAME", "GROUP_NAME":
		default:
			r.say(child, SeverityError, "%s in a group of rules: %s", child.Name, oneMeant(child.Name, groupWords))
		}
	}
	if len(scope.services) == 0 {
		switch name := strings.ToUpper(n.Name); {
		case scope.group != "": // the group is called by its service
			scope.services = serviceNames(n.Child("NAME"))
		case name != "GROUP" && name != "DESCRIPTION" && name != "RULE_GROUP":
			scope.services = []string{n.Name}
		default:
			r.say(n, SeverityError, "the group names no service: write (SRV=sales) beside its RULE_LIST, or (SRV=*) for all")
		}
	}
	if scope.group == "" {
		scope.group = strings.Join(scope.services, ",")
	}
	for _, list := range n.All("RULE_LIST") {
		r.readRuleList(list, scope)
	}
}

// serviceNames are the names of services that n lists, in whichever form.
func serviceNames(n *descriptor.Node) []string {
	names := n.Values()
	for _, child := range n.Children {
		if child.Name != "" {
			names = append(names, child.Values()...)
		}
	}
	return names
}

var ruleListWords = []string{"RULE", "DN_LIST", "ACTION_LIST"}

func (r *reader) readRuleList(list *descriptor.Node, scope ruleScope) {
	if r.bare(list) {
		r.rulesWrong = true
		return
	}
	for _, n := range list.All("DN_LIST") {
		scope.dns = append(slices.Clone(scope.dns), r.readDNs(n)...)
	}
	for _, n := range list.Children {
		switch strings.ToUpper(n.Name) {
		case "RULE":
			r.readRule(n, scope)
		case "DN_LIST":
		case "ACTION_LIST":
			r.readLateActions(n)
		default:
			r.rulesWrong = true
			r.say(n, SeverityError, "%s in a RULE_LIST: only RULE belongs there; did you mean %s?", orText(n.Name, n.Value), nearest(n.Name, ruleListWords))
		}
	}
}

func orText(text, otherwise string) string {
	if text != "" {
		return text
	}
	return otherwise
}

// readLateActions reads an ACTION_LIST that stands after its rule instead of in it, as in
// samples that people copy.
func (r *reader) readLateActions(n *descriptor.Node) {
	if r.lastRule == nil {
		r.say(n, SeverityError, "ACTION_LIST stands before any RULE: move it into the rule that it is for")
		return
	}
	r.say(n, SeverityNotice, "ACTION_LIST stands outside a RULE, and is taken for that of the rule in %s: move it in there", r.lastRule.place(r.file))
	rule := r.lastRule.rule
	r.readActions(rule, n)
	rule.Text += n.String()
}

// ruleRead is a rule with its place in the file.
type ruleRead struct {
	file  string
	node  *descriptor.Node
	admin bool
	rule  *relay.Rule
}

// ruleWords are the conditions and actions of a RULE.
var ruleWords = []string{"SRC", "DST", "SRV", "ACT", "ACTION_LIST", "DN", "DN_LIST", "USER", "PROGRAM"}

// readRule reads one rule, and keeps it with those of its kind unless it is wrong.
func (r *reader) readRule(n *descriptor.Node, scope ruleScope) {
	before := len(r.messages)
	if r.bare(n) {
		r.rulesWrong = true
		return
	}
	rule := &relay.Rule{Text: n.String(), Where: fmt.Sprintf("%s:%d", r.file, n.Line), Group: scope.group, DNs: scope.dns}
	kind := ruleKind(n.Text("SRV"))
	seen := map[string]bool{}
	var stray []*descriptor.Node
	for _, child := range n.Children {
		word := strings.ToUpper(child.Name)
		if isActionWord(word) {
			stray = append(stray, child)
			continue
		}
		if seen[word] && word != "DN" && word != "DN_LIST" && word != "ACTION_LIST" {
			r.say(child, SeverityError, "the rule has %s twice: write a rule for each", word)
		}
		seen[ruleWord(word)] = true // of a misspelt one it is not said that it is missing
		r.readCondition(rule, child, kind)
	}
	r.strayActions(rule, stray)
	for _, field := range []struct{ word, remedy string }{
		{"SRC", "name a host or network, or write (SRC=*)"},
		{"DST", "name a host or network, or write (DST=*)"},
		{"SRV", "name a service, or write (SRV=*)"},
		{"ACT", "write (ACT=accept), reject, drop or log"},
	} {
		if !seen[field.word] && (field.word != "SRV" || len(scope.services) == 0) {
			r.say(n, SeverityError, "the rule has no %s: %s", field.word, field.remedy)
		}
	}
	r.withinGroup(rule, n, scope)
	if r.wrongSince(before) {
		r.lastRule = &ruleRead{r.file, n, false, rule}
		r.clientRules = r.clientRules || kind == clientRule
		return
	}
	r.keepRule(rule, n, kind)
}

// wrongSince tells whether there was an error since so many messages.
func (r *reader) wrongSince(messages int) bool {
	return slices.ContainsFunc(r.messages[messages:], func(m Message) bool { return m.Severity == SeverityError })
}

// What a rule is about, by its SRV.
type kindOfRule int

const (
	clientRule kindOfRule = iota
	adminRule             // cmon
	gatewayRule
)

func ruleKind(service string) kindOfRule {
	switch strings.ToLower(service) {
	case "cmon":
		return adminRule
	case "cmgw":
		return gatewayRule
	}
	return clientRule
}

func (r *reader) keepRule(rule *relay.Rule, n *descriptor.Node, kind kindOfRule) {
	r.lastRule = &ruleRead{r.file, n, kind == adminRule, rule}
	switch kind {
	case gatewayRule:
		r.say(n, SeverityNotice, "SRV=cmgw is about gateway processes, of which there are none here: the rule has no effect")
		return
	case clientRule:
		r.clientRules = true
	}
	r.rules = append(r.rules, r.lastRule)
}

// withinGroup gives a rule the services of its group, or checks that it stays in them.
func (r *reader) withinGroup(rule *relay.Rule, n *descriptor.Node, scope ruleScope) {
	if len(scope.services) == 0 {
		return
	}
	if len(rule.Services) == 0 || slices.Contains(rule.Services, "*") {
		rule.Services = scope.services
		return
	}
	for _, name := range rule.Services {
		if !slices.ContainsFunc(scope.services, func(group string) bool { return servicetable.PatternCovers(group, name) }) {
			r.say(orOf(n.Child("SRV"), n), SeverityError, "SRV=%s is not among the services of its group, %s: name one of those, or leave SRV out for all of them",
				name, strings.Join(scope.services, ", "))
		}
	}
}

func orOf(n, otherwise *descriptor.Node) *descriptor.Node {
	if n != nil {
		return n
	}
	return otherwise
}

// finishRules puts the rules into the configuration, and says what is odd about them as
// a whole.
func (r *reader) finishRules(root *descriptor.Node) {
	r.config.Rules, r.config.AdminRules = relay.Rules{}, nil
	var kinds [2][]*ruleRead
	for _, one := range r.rules {
		if one.admin {
			r.config.AdminRules = append(r.config.AdminRules, *one.rule)
			kinds[1] = append(kinds[1], one)
		} else {
			r.config.Rules = append(r.config.Rules, *one.rule)
			kinds[0] = append(kinds[0], one)
		}
	}
	if !r.clientRules && !r.rulesWrong {
		r.say(root, SeverityWarning, "no rule is about clients, so every client is refused: "+
			"add (RULE=(SRC=*)(DST=*)(SRV=*)(ACT=accept)) to RULE_LIST to let everyone in")
	}
	if r.config.AdminRules == nil && len(r.rules) > 0 {
		r.say(root, SeverityNotice, "no rule is about administration (SRV=cmon), which Connection Manager would then refuse: here this host may still use it; "+
			"add (RULE=(SRC=127.0.0.1)(DST=127.0.0.1)(SRV=cmon)(ACT=accept)) to say so")
	}
	for i, rules := range []relay.Rules{r.config.Rules, r.config.AdminRules} {
		for _, u := range rules.Unreachable() {
			r.sayUnreachable(u, kinds[i])
		}
	}
}

// mostNamed is how many rules a message names.
const mostNamed = 5

func (r *reader) sayUnreachable(u relay.Unreachable, rules []*ruleRead) {
	rule := rules[u.Rule]
	defer func(file string) { r.file = file }(r.file)
	r.file = rule.file
	var places []string
	for _, by := range u.By[:min(len(u.By), mostNamed)] {
		places = append(places, rules[by].place(r.file))
	}
	if len(u.By) > mostNamed {
		places = append(places, "…")
	}
	where := places[0] + " comes first and matches"
	if len(places) > 1 {
		where = strings.Replace(strings.Join(places, ", "), "line ", "lines ", 1) + " come first and together match"
		where = strings.ReplaceAll(where, ", line ", ", ")
	}
	r.say(rule.node, SeverityWarning, "the rule can never match, since what is in %s all that it does: move it before that, or remove it", where)
}

// place tells where the rule stands to who reads the file.
func (one *ruleRead) place(file string) string {
	if one.file != file {
		return fmt.Sprintf("%s:%d", one.file, one.node.Line)
	}
	return fmt.Sprintf("line %d", one.node.Line)
}
