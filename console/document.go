package console

import (
	_ "embed"
	"net/http"
)

// document describes the API, as OpenAPI 3.1.
//
//go:embed openapi.json
var document []byte

func serveDocument(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(document) // who asked has gone, or reads it
}
