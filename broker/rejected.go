package broker

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync/atomic"

	"servicebroker/certs"
	"servicebroker/failover"
	"servicebroker/registration"
	"servicebroker/relay"
	"servicebroker/tns"
)

// rejectedClass is a sort of input that is refused, or ended, for what it is.
type rejectedClass int

const (
	rejectedSilence rejectedClass = iota
	rejectedIncomplete
	rejectedForeign
	rejectedFraming
	rejectedProxy
	rejectedTLS
	rejectedDescriptor
	rejectedCommand
	rejectedRegistration
	rejectedInstance
	rejectedDNS
	rejectedAPI
	rejectedClasses // how many there are
)

// rejectedLabels are the classes as metrics name them.
var rejectedLabels = [rejectedClasses]string{
	"silence", "incomplete", "foreign", "framing", "proxy", "tls", "descriptor", "command", "registration", "instance", "dns", "api",
}

// rejections counts what was rejected, by class.
type rejections struct {
	counts [rejectedClasses]atomic.Uint64
}

func (r *rejections) add(class rejectedClass) { r.counts[class].Add(1) }

// unread counts a connection that brought no whole CONNECT, or TLS handshake. One that was
// closed before it said anything is somebody who looked whether there is a listener.
func (r *rejections) unread(err error, said bool) {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		r.add(rejectedSilence)
	case errors.Is(err, tns.ErrNotConnect):
		r.add(rejectedForeign)
	case errors.Is(err, certs.ErrBroken):
		r.add(rejectedTLS)
	case isAny(err, tns.ErrMalformed, tns.ErrTooLong, tns.ErrOutOfStep, tns.ErrUnexpected):
		r.add(rejectedFraming)
	case said || errors.Is(err, io.ErrUnexpectedEOF):
		r.add(rejectedIncomplete)
	}
}

// connected counts a connect that is refused for what it asks, not for what there is.
func (r *rejections) connected(report *relay.ConnectReport) {
	if len(report.Explanation.Attempts) > 0 { // then an instance may have said it
		return
	}
	switch tns.Code(report.Explanation.Code) {
	case tns.CodeBadDescriptor, tns.CodeNoConnectData, tns.CodeNoServiceName, tns.CodeBadAddress:
		r.add(rejectedDescriptor)
	case tns.CodeAdminRefused, tns.CodeUnknownCommand:
		r.add(rejectedCommand)
	}
}

// registering counts a registrant that is turned away, or is not understood.
func (r *rejections) registering(e *registration.Event) {
	switch e.Kind {
	case registration.Refused, registration.Undecodable, registration.LeftOut:
		r.add(rejectedRegistration)
	}
}

// attempted counts an instance that answers what is no answer.
func (r *rejections) attempted(a failover.Attempt) {
	if isAny(a.Err, tns.ErrMalformed, tns.ErrTooLong, tns.ErrOutOfStep, tns.ErrUnexpected, relay.ErrNoAnswer, certs.ErrBroken) {
		r.add(rejectedInstance)
	}
}

// overHTTP counts requests that are answered with a client's mistake. That something is not there is none.
func (r *rejections) overHTTP(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		handler.ServeHTTP(&watchedAnswer{w, r}, request)
	})
}

// watchedAnswer is an answer whose status is looked at.
type watchedAnswer struct {
	http.ResponseWriter
	rejected *rejections
}

// Unwrap is for http.ResponseController.
func (w *watchedAnswer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader counts what the status says.
func (w *watchedAnswer) WriteHeader(status int) {
	if status >= 400 && status < 500 && status != http.StatusNotFound && status != http.StatusConflict {
		w.rejected.add(rejectedAPI)
	}
	w.ResponseWriter.WriteHeader(status)
}

// isAny tells whether an error is one of several.
func isAny(err error, targets ...error) bool {
	for _, target := range targets {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

// sampleRejected tells of it.
func (s *sampler) sampleRejected(out sink) {
	for class, label := range rejectedLabels {
		out.put("rejected_input_total", float64(s.rejected.counts[class].Load()), label)
	}
}
