package source

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
)

// transportFailure explains an error of the network, of TLS or of HTTP. It
// never repeats the error's own text where that may hold the URL.
func (c *Client) transportFailure(err error) *Failure {
	host := c.target.hostPort()
	if t := c.tlsFailure(err, host); t != nil {
		return t
	}
	var dns *net.DNSError
	switch {
	case errors.Is(err, context.Canceled):
		return &Failure{What: "interrupted"}
	case errors.As(err, &dns) && !dns.IsTimeout:
		return &Failure{What: "host " + Sanitize(c.target.base.Hostname(), 200) + " is not known", Remedy: "check its spelling, and this machine's DNS"}
	case isTimeout(err):
		return &Failure{What: fmt.Sprintf("no answer from %s within %s", host, c.timeout), Remedy: "check the address and firewalls; --timeout waits longer"}
	case errors.Is(err, syscall.ECONNREFUSED):
		return &Failure{What: "connection refused: nothing listens on " + host, Remedy: "check that the service runs, and its port"}
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return &Failure{What: "no route to " + host, Remedy: "check the address and this machine's network"}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return &Failure{What: host + " closed the connection before it had answered", Remedy: "check that the port is the service's HTTP port and that it is not restarting"}
	case foreign(err):
		return &Failure{What: host + " does not speak HTTP", Remedy: "check the port; for a database use: dbmonitor doctor DATABASE_URL"}
	default:
		return &Failure{What: fmt.Sprintf("cannot ask %s: %s", host, Sanitize(innermost(err), 160)), Remedy: "check the URL"}
	}
}

func (c *Client) tlsFailure(err error, host string) *Failure {
	var (
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
		record  tls.RecordHeaderError
		alert   tls.AlertError
		verify  *tls.CertificateVerificationError
	)
	switch {
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &record):
		return &Failure{What: host + " speaks plain HTTP, not TLS", Remedy: "write http:// instead of https://"}
	case errors.As(err, &unknown):
		return &Failure{What: "the certificate of " + host + " is signed by an authority this machine does not know", Remedy: "point SSL_CERT_FILE at the authority's certificate"}
	case errors.As(err, &name):
		return &Failure{What: "the certificate of " + host + " is for another host name", Remedy: "use the name it was issued for"}
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return &Failure{What: "the certificate of " + host + " has expired or is not yet valid", Remedy: "renew it, and check this machine's clock"}
	case errors.As(err, &alert), errors.As(err, &verify), strings.Contains(err.Error(), "tls: "):
		return &Failure{What: fmt.Sprintf("TLS with %s fails: %s", host, Sanitize(innermost(err), 160)), Remedy: "check the service's certificate and the port"}
	default:
		return nil
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.As(err, &ne) && ne.Timeout()
}

// innermost drops url.Error's prefix, which repeats the URL.
func innermost(err error) string {
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	return err.Error()
}

// foreign reports whether the answer was not HTTP, or came before there was a
// question. net/http has no types for that.
func foreign(err error) bool {
	for _, s := range []string{"malformed HTTP", "malformed MIME", "readLoopPeekFailLocked"} {
		if strings.Contains(err.Error(), s) {
			return true
		}
	}
	return false
}
