package relay

import (
	"context"
	"net/netip"
	"path"
	"strings"

	"servicebroker/servicetable"
)

// Action is what a rule does with a connect, in the words of ACT.
type Action uint8

// The actions, features.md 2.2: Reject answers with an error, Drop closes in silence.
const (
	Accept Action = iota
	Reject
	Drop
)

// Rule is one entry of a RULE_LIST that is about clients.
type Rule struct {
	Source      HostPattern // the client's address
	Destination HostPattern // the host of the candidate, judged for each
	Service     string      // service or SID asked for; * stands for any text
	Action      Action
	Treatment   // of its ACTION_LIST
	Text        string
	Where       string // FILE:LINE
}

// Rules decide in order: the first that matches, and where none does, refusal.
type Rules []Rule

// HostPattern matches hosts: any, a network, or a name.
type HostPattern struct {
	Any     bool
	Network netip.Prefix // an address is a network of one
	Name    string
}

// verdict is what rules are applied to.
type verdict struct {
	ctx     context.Context
	client  netip.Addr
	service string // or SID
	bySID   bool
	resolve func(context.Context, string) []netip.Addr
}

// granted are the rules that decided, by handler.
type granted map[*servicetable.Handler]*Rule

// admit keeps the candidates whose first matching rule accepts.
func (r Rules) admit(v *verdict, candidates []servicetable.Candidate) ([]servicetable.Candidate, granted, error) {
	var admitted []servicetable.Candidate
	by := granted{}
	refusal := errRejected
	for _, c := range candidates {
		rule := r.first(v, c)
		if rule == nil {
			continue
		}
		by[c.Handler] = rule
		switch rule.Action {
		case Accept:
			admitted = append(admitted, c)
		case Drop:
			refusal = errDropped
		}
	}
	if len(admitted) == 0 {
		return nil, by, refusal
	}
	return admitted, by, nil
}

// first returns the first rule that matches, nil if none does.
func (r Rules) first(v *verdict, c servicetable.Candidate) *Rule {
	for i := range r {
		rule := &r[i]
		if rule.matchesService(v, c) && rule.Source.matchesAddr(v, v.client) && rule.Destination.matchesHost(v, c.Handler.Host) {
			return rule
		}
	}
	return nil
}

// matchesService compares with what was asked for and with the name the service is
// registered under, which may differ by its domain. A SID stands for itself: which
// of the instance's services it leads to is the instance's affair.
func (r *Rule) matchesService(v *verdict, c servicetable.Candidate) bool {
	return glob(r.Service, v.service) || !v.bySID && glob(r.Service, c.Service.Name)
}

// glob compares without case; * stands for any text.
func glob(pattern, name string) bool {
	if pattern == "*" {
		return true
	}
	pattern, name = strings.ToLower(pattern), strings.ToLower(name)
	if !strings.ContainsRune(pattern, '*') {
		return pattern == name
	}
	ok, err := path.Match(globEscaper.Replace(pattern), strings.ReplaceAll(name, "/", "\x00"))
	return err == nil && ok
}

// globEscaper leaves * as the only special character of a pattern.
var globEscaper = strings.NewReplacer("?", `\?`, "[", `\[`, `\`, `\\`, "/", "\x00")

func (p HostPattern) matchesAddr(v *verdict, a netip.Addr) bool {
	switch {
	case p.Any:
		return true
	case p.Name == "":
		return p.Network.Contains(a)
	}
	for _, b := range v.addresses(p.Name) {
		if a == b {
			return true
		}
	}
	return false
}

func (p HostPattern) matchesHost(v *verdict, host string) bool {
	if p.Any || p.Name != "" && strings.EqualFold(p.Name, host) {
		return true
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return p.matchesAddr(v, a.Unmap())
	}
	for _, a := range v.addresses(host) {
		if p.matchesAddr(v, a) {
			return true
		}
	}
	return false
}

func (v *verdict) addresses(name string) []netip.Addr {
	if v.resolve == nil {
		return nil
	}
	return v.resolve(v.ctx, name)
}
