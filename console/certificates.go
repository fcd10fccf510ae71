package console

import (
	"io"
	"net/http"
	"time"
)

// CertificateList is the answer of GET /api/v1/certificates.
type CertificateList struct {
	Certificates []Certificate `json:"certificates"` // our own first
}

// Certificate is a TLS certificate in use.
type Certificate struct {
	From      string    `json:"from"`      // file, or name for which ACME issued it
	Subject   string    `json:"subject"`   // distinguished name
	Authority bool      `json:"authority"` // it is not our own: it is trusted to sign those of others
	Expires   time.Time `json:"expires"`
}

func (s *Server) getCertificates(w http.ResponseWriter, r *http.Request) {
	if offered(w, r, s.Certificates != nil) {
		s.write(w, http.StatusOK, CertificateList{Certificates: append([]Certificate{}, s.Certificates()...)})
	}
}

// WriteCertificates writes the certificates in use as a table, as of now.
func WriteCertificates(w io.Writer, list CertificateList, now time.Time) error {
	var rows [][]string
	for _, c := range list.Certificates {
		kind, left := "own", span(c.Expires.Sub(now))
		if c.Authority {
			kind = "authority"
		}
		if !now.Before(c.Expires) {
			left = "EXPIRED"
		}
		rows = append(rows, []string{kind, c.Subject, c.Expires.UTC().Format(time.RFC3339), left, c.From})
	}
	return table(w, "No certificate is in use.", "KIND | SUBJECT | EXPIRES | LEFT | FROM", rows)
}
