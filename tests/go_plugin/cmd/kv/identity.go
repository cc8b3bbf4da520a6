package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

const day = 24 * time.Hour

const keyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment |
	x509.KeyUsageKeyAgreement | x509.KeyUsageCertSign

// identity is how the plugin shows itself: the TLS configuration it serves with, nil for plaintext, and the certificate
// that it announces in the handshake line, empty for none.
type identity struct {
	config    *tls.Config
	announced []byte
}

func newIdentity(chosen modes) (identity, error) {
	if chosen.userTLS != "" {
		config, err := userTLS(chosen.userTLS)
		return identity{config: config}, err
	}
	hostPEM := os.Getenv("PLUGIN_CLIENT_CERT")
	if hostPEM == "" {
		return identity{}, nil
	}
	hosts := x509.NewCertPool()
	if !hosts.AppendCertsFromPEM([]byte(hostPEM)) {
		return identity{}, fmt.Errorf("PLUGIN_CLIENT_CERT holds no certificate: %q", hostPEM)
	}
	served, err := newCertificate(chosen.expiredCert)
	if err != nil {
		return identity{}, err
	}
	announced := served
	if chosen.differentCert {
		if announced, err = newCertificate(false); err != nil {
			return identity{}, err
		}
	}
	return identity{config: requireClient(served, hosts), announced: announced.Certificate[0]}, nil
}

// newCertificate makes a certificate like go-plugin's own, whose generator is not exported.
func newCertificate(expired bool) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 128))
	if err != nil {
		return tls.Certificate{}, err
	}
	notBefore, notAfter := time.Now().Add(-30*time.Second), time.Now().Add(30*365*day)
	if expired {
		notBefore, notAfter = time.Now().Add(-2*day), time.Now().Add(-day)
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "localhost", Organization: []string{"HashiCorp"}},
		DNSNames:              []string{"localhost"},
		NotBefore:             notBefore,
		NotAfter:              notAfter,
		KeyUsage:              keyUsage,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// userTLS is a configuration as a plugin's author would write it, from the files of a certificate authority.
func userTLS(directory string) (*tls.Config, error) {
	certificate, err := tls.LoadX509KeyPair(filepath.Join(directory, "server.pem"), filepath.Join(directory, "server.key"))
	if err != nil {
		return nil, err
	}
	authority, err := os.ReadFile(filepath.Join(directory, "ca.pem"))
	if err != nil {
		return nil, err
	}
	clients := x509.NewCertPool()
	if !clients.AppendCertsFromPEM(authority) {
		return nil, errors.New("ca.pem holds no certificate")
	}
	return requireClient(certificate, clients), nil
}

func requireClient(certificate tls.Certificate, clients *x509.CertPool) *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{certificate},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    clients,
		MinVersion:   tls.VersionTLS12,
	}
}
