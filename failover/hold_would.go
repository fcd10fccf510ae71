package failover

// Anyone reports whether any connect is held; it is cheap.
func (h *Holder) Anyone() bool { return h.occupied.Load() > 0 }

// Would tells why Enter would not hold a connect now, nil if it would. It changes and counts nothing.
func (h *Holder) Would(r HoldRequest) error {
	h.lock()
	defer h.unlock()
	counters := h.counters
	r.Retry = 0 // else it would be taken for a dial that failed
	_, err := h.admit(&r, h.now())
	h.counters = counters
	return err
}
