package console

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
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

const (
	certFile = "console.crt"
	keyFile  = "console.key"
	// certLife is what browsers still accept of a certificate.
	certLife = 397 * 24 * time.Hour
	// certRenew: a certificate this close to its end is made anew at start.
	certRenew = 30 * 24 * time.Hour
)

// SelfSigned gives the certificate kept in dir, and makes one if there is none,
// if it ends soon, or if it does not name every host. The key's file can be read
// by its owner only. made tells that browsers will ask about a new one.
func SelfSigned(dir string, hosts []string, now time.Time) (cert tls.Certificate, made bool, err error) {
	certPath, keyPath := filepath.Join(dir, certFile), filepath.Join(dir, keyFile)
	cert, err = tls.LoadX509KeyPair(certPath, keyPath)
	switch {
	case err == nil:
		if good(cert, hosts, now) {
			return cert, false, nil
		}
	case !errors.Is(err, fs.ErrNotExist):
		// Somebody's own files, perhaps: not ours to overwrite.
		return cert, false, fmt.Errorf("certificate in %s: %w", dir, err)
	}
	certPEM, keyPEM, err := makeCertificate(hosts, now)
	if err != nil {
		return cert, false, fmt.Errorf("make certificate: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return cert, false, err
	}
	for _, f := range []struct {
		path string
		data []byte
		mode fs.FileMode
	}{{keyPath, keyPEM, 0o600}, {certPath, certPEM, 0o644}} {
		if err := replace(f.path, f.data, f.mode); err != nil {
			return cert, false, fmt.Errorf("keep certificate: %w", err)
		}
	}
	cert, err = tls.X509KeyPair(certPEM, keyPEM)
	return cert, true, err
}

// TLSConfig is what the console is served with.
func TLSConfig(cert tls.Certificate) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
}

func good(cert tls.Certificate, hosts []string, now time.Time) bool {
	if cert.Leaf == nil || now.Add(certRenew).After(cert.Leaf.NotAfter) || now.Before(cert.Leaf.NotBefore) {
		return false
	}
	for _, h := range hosts {
		if cert.Leaf.VerifyHostname(h) != nil {
			return false
		}
	}
	return true
}

func makeCertificate(hosts []string, now time.Time) (certPEM, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "Nabat console"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(certLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	certPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	return certPEM, keyPEM, nil
}

// replace writes a file whole or not at all.
func replace(path string, data []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // nothing is there after the rename
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
