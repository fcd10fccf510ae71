package failover

import "time"

func (s *HoldSettings) timeout() time.Duration { return max(0, orDefault(s.Timeout, 30*time.Second)) }
func (s *HoldSettings) memory() time.Duration  { return max(0, orDefault(s.Memory, 300*time.Second)) }

func (s *HoldSettings) max() int {
	if s.Max == 0 {
		return 10_000
	}
	return max(0, s.Max)
}

// share returns how many places one service may take.
func (s *HoldSettings) share() int {
	part := s.ServiceShare
	if !(part > 0) { // nor NaN
		part = 0.5
	}
	return max(1, int(float64(s.max())*min(1, part)))
}

// rate returns how many may go each second, less than 0 if that is not limited.
func (s *HoldSettings) rate() float64 {
	if s.Rate == 0 || s.Rate != s.Rate {
		return 500
	}
	return s.Rate
}

// retime gives those that wait without a limit of their own the deadline they would have had under the present
// Timeout.
func (h *Holder) retime() {
	timeout := h.settings.timeout()
	again := func(places []*Place) {
		for _, p := range places {
			if !p.limited {
				p.until = p.since + min(timeout, longestHold)
			}
		}
	}
	again(h.deadlines.items)
	h.deadlines.reorder()
	for _, l := range h.lines {
		again(l.trying.items)
	}
}
