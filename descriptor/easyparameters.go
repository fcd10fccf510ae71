package descriptor

import (
	"strconv"
	"strings"
)

// partNames are what a descriptor consists of: as a parameter, one would stand before what the text itself says.
var partNames = [...]string{"ADDRESS", "ADDRESS_LIST", "CONNECT_DATA", "DESCRIPTION", "DESCRIPTION_LIST", "SECURITY"}

// Where Oracle Net looks for the parameters of Easy Connect text that do not belong to the DESCRIPTION.
var (
	addressParameters = [...]string{"HTTPS_PROXY", "HTTPS_PROXY_PORT"}

	connectDataParameters = [...]string{"POOL_CONNECTION_CLASS", "POOL_PURITY", "POOL_BOUNDARY", "SERVICE_TAG", "COLOCATION_TAG",
		"CONNECTION_ID_PREFIX", "SHARDING_KEY", "SUPER_SHARDING_KEY", "TUNNEL_SERVICE_NAME", "UR"}

	securityParameters = [...]string{"SSL_SERVER_DN_MATCH", "SSL_SERVER_CERT_DN", "SSL_VERSION", "SSL_ALLOW_WEAK_DN_MATCH",
		"WALLET_LOCATION", "MY_WALLET_DIRECTORY", "AUTHENTICATION_SERVICE", "KERBEROS5_CC_NAME", "KERBEROS5_PRINCIPAL",
		"ENCRYPTION_CLIENT", "ENCRYPTION_TYPES_CLIENT", "CRYPTO_CHECKSUM_CLIENT", "CRYPTO_CHECKSUM_TYPES_CLIENT",
		"TOKEN_AUTH", "TOKEN_LOCATION", "PASSWORD_AUTH"}
)

// settings reads name=value&name=value… into n, whose Children are addresses and CONNECT_DATA, and into e.own.
func (e *easy) settings(n *Node, s span) {
	for count := 1; e.err == nil && e.of(s) != ""; count++ {
		if count > easyParameters {
			e.fail(s, "more than "+strconv.Itoa(easyParameters)+" parameters", "leave some out, or write a descriptor")
			return
		}
		var name span
		var found bool
		if name, s, found = e.cut(s, "="); !found {
			e.fail(name, "no = after the parameter "+excerpt(e.of(name)), "write name=value, and & between parameters")
			return
		}
		var value string
		if value, s = e.setting(s); e.err == nil {
			e.set(n, name, value)
		}
	}
}

// setting reads a value, which may be in double quotes, and the & after it.
func (e *easy) setting(s span) (string, span) {
	if !strings.HasPrefix(e.of(s), `"`) {
		value, rest, _ := e.cut(s, "&")
		return e.of(value), rest
	}
	_, inside, _ := e.cut(s, `"`)
	value, rest, closed := e.cut(inside, `"`)
	if !closed {
		e.fail(s, "the quote opened here is never closed", "close it")
		return "", rest
	}
	after, rest, _ := e.cut(rest, "&")
	if tail := e.of(after); tail != "" {
		e.fail(after, "unexpected "+character(tail)+" after a quoted value", "write & between parameters")
	}
	return e.text[value.from:value.to], rest
}

// set puts a parameter where it belongs.
func (e *easy) set(n *Node, at span, value string) {
	name := strings.ToUpper(e.of(at))
	switch {
	case name == "" || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.$-") != "":
		e.fail(at, excerpt(e.of(at))+" is not the name of a parameter", "write name=value, and & between parameters")
	case among(partNames[:], name):
		e.fail(at, name+" is a part of a descriptor and no parameter", "leave it out, or write a descriptor")
	case strings.Contains(name, "."):
	case among(connectDataParameters[:], name):
		n.Child("CONNECT_DATA").Set(name, value)
	case among(securityParameters[:], name):
		if n.Child("SECURITY") == nil {
			n.Add(&Node{Name: "SECURITY"})
		}
		n.Child("SECURITY").Set(name, value)
	case among(addressParameters[:], name):
		for _, address := range Addresses(n) {
			address.Set(name, value)
		}
	default:
		e.own.Set(name, value)
	}
}

func among(names []string, name string) bool {
	for _, each := range names {
		if each == name {
			return true
		}
	}
	return false
}
