package broker

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	"servicebroker/certs"
	"servicebroker/descriptor"
	"servicebroker/dn"
)

func tlsVersion(into func(*Config) *uint16) func(*Config, *descriptor.Node) error {
	return func(c *Config, n *descriptor.Node) (err error) {
		*into(c), err = certs.ParseVersion(n.Value)
		return err
	}
}

// setOracleTLSVersion reads SSL_VERSION, which may name several: 1.3 or 1.2, (TLSv1.2,TLSv1.3),
// undetermined.
func setOracleTLSVersion(c *Config, n *descriptor.Node) error {
	var lowest uint16
	for _, word := range listOf(n) {
		for _, one := range strings.Split(strings.ToLower(word), " or ") {
			if v, err := certs.ParseVersion(one); err == nil && (lowest == 0 || v < lowest) {
				lowest = v
			}
		}
	}
	switch {
	case lowest != 0:
		c.TLS.MinVersion = lowest
	case strings.EqualFold(n.Value, "undetermined"), n.Value == "0":
	default:
		return fmt.Errorf("%q names no version that this broker speaks: write 1.2 or 1.3", n.Value)
	}
	return nil
}

// setWalletLocation reads (WALLET_LOCATION=(SOURCE=(METHOD=FILE)(METHOD_DATA=(DIRECTORY=…))))
// and (WALLET_LOCATION=folder).
func setWalletLocation(c *Config, n *descriptor.Node) error {
	folder := n.Text("SOURCE", "METHOD_DATA", "DIRECTORY")
	if folder == "" {
		folder = n.Value
	}
	if method := n.Text("SOURCE", "METHOD"); method != "" && !strings.EqualFold(method, "file") {
		return fmt.Errorf("METHOD=%s cannot be read: put the wallet into a folder and write (METHOD=FILE)(METHOD_DATA=(DIRECTORY=folder))", method)
	}
	if folder == "" {
		return errors.New("it names no folder: write (WALLET_LOCATION=(SOURCE=(METHOD=FILE)(METHOD_DATA=(DIRECTORY=/etc/broker/wallet))))")
	}
	c.TLS.Wallet = folder
	return nil
}

// setUpstreamTLS reads (UPSTREAM_TLS=(CA=…)…).
func setUpstreamTLS(c *Config, n *descriptor.Node) error {
	u := UpstreamTLS{MinVersion: tls.VersionTLS12}
	match := true
	err := readFields(n, []field{
		textField("CA", &u.CA), textField("CERTIFICATE", &u.Certificate), textField("KEY", &u.Key),
		textField("WALLET", &u.Wallet), textField("WALLET_PASSWORD_FILE", &u.WalletPasswordFile), onOffField("DN_MATCH", &match),
		{"DN", func(n *descriptor.Node) error {
			u.DNs = append(u.DNs, n.Value)
			return dn.Check(n.Value)
		}},
		{"MIN_VERSION", func(n *descriptor.Node) (err error) {
			u.MinVersion, err = certs.ParseVersion(n.Value)
			return err
		}},
	})
	if err == nil && u.Key != "" && u.Certificate == "" {
		err = errors.New("KEY has no CERTIFICATE: add it")
	}
	u.NoDNMatch = !match
	c.UpstreamTLS = u
	return err
}

// tlsFields are the TLS_ parameters that an ADDRESS may have for itself.
func (t *TLSSettings) fields() []field {
	return []field{
		textField("TLS_CERTIFICATE", &t.Certificate), textField("TLS_KEY", &t.Key), textField("TLS_CLIENT_CA", &t.ClientCA),
		textField("TLS_WALLET", &t.Wallet), textField("TLS_WALLET_PASSWORD_FILE", &t.WalletPasswordFile),
		{"TLS_MIN_VERSION", func(n *descriptor.Node) (err error) {
			t.MinVersion, err = certs.ParseVersion(n.Value)
			return err
		}},
	}
}

// complete says what does not go together; nil for a server that has no certificate.
func (t *TLSSettings) complete() error {
	switch {
	case t.Key != "" && t.Certificate == "":
		return errors.New("TLS_KEY has no TLS_CERTIFICATE: add it")
	case t.Certificate != "" && t.Wallet != "":
		return errors.New("TLS_CERTIFICATE and TLS_WALLET are two certificates: take out one of them")
	}
	return nil
}
