package relay

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// standing is what the rules say of a client and what it asks for before any instance is
// looked at: when there is none, or while it waits for one.
type standing struct {
	refusal   error     // no instance whatever would be granted
	treatment Treatment // of the first rule that may accept it
	rules     string    // which rules can decide: clients of one standing may have the same
}

// standing finds the rules that fit client and service, whatever the instance.
func (s *Server) standing(ctx context.Context, d *dialogue) standing {
	rules := s.rules()
	if rules == nil {
		return standing{}
	}
	return rules.standing(ctx, d.subject())
}

func (s *RuleSet) standing(ctx context.Context, who subject) standing {
	s.await(ctx)
	m := s.begin(who)
	defer m.end()
	m.clientRules(who.asked)
	m.client.without(s.logs)
	m.verify(who.asked)
	if last := firstOfBoth(m.client, s.anywhere); last >= 0 { // decides about all that are left
		m.client.cut(last + 1)
	}
	st := standing{rules: m.client.digest()}
	switch accepts := firstOfBoth(m.client, s.accepts); {
	case accepts >= 0:
		st.treatment = s.rules[accepts].rule.Treatment
	case firstOfBoth(m.client, s.drops) >= 0:
		st.refusal = errDropped
	default:
		st.refusal = errRejected
	}
	return st
}

// digest tells sets apart, and is short: thousands who wait may each remember one.
func (b ruleSetBits) digest() string {
	h := sha256.New()
	var word [8]byte
	for _, w := range b {
		binary.LittleEndian.PutUint64(word[:], w)
		h.Write(word[:])
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
