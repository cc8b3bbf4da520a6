package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"time"
)

const day = 24 * time.Hour

var curves = map[string]elliptic.Curve{"p256": elliptic.P256(), "p521": elliptic.P521()}

// tlsFlags is what the command line says about TLS; all empty means plaintext.
type tlsFlags struct {
	certificate, key, selfSigned string
}

// load returns the certificate to serve with, nil for plaintext, and the PEM that a client has to trust.
func (chosen tlsFlags) load() (*tls.Certificate, string, error) {
	switch {
	case chosen.selfSigned != "" && chosen.certificate+chosen.key != "":
		return nil, "", errors.New("-self-signed is given with -certificate or -key, expected one way only")
	case chosen.selfSigned != "":
		return selfSigned(chosen.selfSigned)
	case chosen.certificate == "" && chosen.key == "":
		return nil, "", nil
	}
	served, err := tls.LoadX509KeyPair(chosen.certificate, chosen.key)
	if err != nil {
		return nil, "", err
	}
	certificatePEM, err := os.ReadFile(chosen.certificate)
	return &served, string(certificatePEM), err
}

// selfSigned makes a certificate of the shape that go-plugin gives a plugin under AutoMTLS, where the curve is P-521.
func selfSigned(name string) (*tls.Certificate, string, error) {
	curve, known := curves[name]
	if !known {
		return nil, "", fmt.Errorf("-self-signed %s, expected p256 or p521", name)
	}
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		return nil, "", err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: "localhost", Organization: []string{"HashiCorp"}},
		DNSNames:     []string{"localhost"},
		NotBefore:    time.Now().Add(-30 * time.Second),
		NotAfter:     time.Now().Add(day),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageKeyAgreement |
			x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, "", err
	}
	certificatePEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, string(certificatePEM), nil
}
