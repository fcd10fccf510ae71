package console

import "net/http"

// Identified is the answer of GET /api/v1/whoami: what the broker makes of who asks.
type Identified struct {
	Name     string   `json:"name"`     // of the credentials, or the user at the admin socket; "" for anyone
	From     string   `json:"from"`     // address, or "admin socket"
	Role     string   `json:"role"`     // viewer or operator
	Services []string `json:"services"` // patterns of those that he has to do with; empty: all, and the broker itself
}

func (s *Server) getWhoami(w http.ResponseWriter, r *http.Request) {
	by := accessOf(r)
	s.write(w, http.StatusOK, Identified{Name: by.Who, From: by.From, Role: string(by.Role), Services: append([]string{}, by.Services...)})
}
