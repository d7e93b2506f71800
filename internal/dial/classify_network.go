package dial

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dbpool-go/dbpool/internal/pgdriver"
)

// classifyNoServer is for a dial that no server refused: none answered, or none
// is what target_session_attrs asks for.
func classifyNoServer(err error) Trouble {
	switch unwantedRole(err) {
	case nil:
		return classifyNetwork(err)
	case pgconn.ErrReadOnlyConnection, pgconn.ErrStandbyConnection:
		return Trouble{Reason: ReasonNoPrimary, Remedy: "promote a standby, or check the hosts and target_session_attrs in DATABASE_URL"}
	}
	return Trouble{Reason: ReasonNoStandby, Remedy: "start a standby, or check the hosts and target_session_attrs in DATABASE_URL"}
}

// unwantedRole is what pgx says of a server that target_session_attrs rules out;
// nil when there was none.
func unwantedRole(err error) error {
	for _, role := range []error{pgconn.ErrReadOnlyConnection, pgconn.ErrStandbyConnection, pgconn.ErrReadWriteConnection, pgconn.ErrPrimaryConnection} {
		if errors.Is(err, role) {
			return role
		}
	}
	return nil
}

func classifyNetwork(err error) Trouble {
	var dns *net.DNSError
	switch {
	case strings.Contains(err.Error(), "server refused TLS connection"):
		return Trouble{Reason: ReasonNoTLS, Permanent: true, Remedy: "switch TLS on at the server, or set sslmode=prefer"}
	case strings.Contains(err.Error(), "remote error: tls: ") && strings.Contains(err.Error(), "certificate"):
		return Trouble{Reason: ReasonClientCertificate, Permanent: true, Remedy: remedyClientCertificate}
	case isExpired(err):
		return Trouble{Reason: ReasonCertificateExpired, Permanent: true, Remedy: "renew the server's certificate and reload it, and check this machine's clock"}
	case strings.Contains(err.Error(), "x509: ") || strings.Contains(err.Error(), "tls: failed to verify"):
		return Trouble{Reason: ReasonUntrusted, Permanent: true, Remedy: "check sslrootcert, sslmode and the host's name in DATABASE_URL"}
	case errors.Is(err, errNoHost):
		return Trouble{Reason: ReasonNoHostName, Permanent: true, Remedy: "write special characters of the password percent-encoded in DATABASE_URL"}
	case errors.As(err, &dns):
		return Trouble{Reason: ReasonHostNotFound, Remedy: "check the host in DATABASE_URL"}
	case errors.Is(err, context.DeadlineExceeded) || pgdriver.IsTimeout(err):
		return Trouble{Reason: ReasonNoAnswer, Remedy: "check the network, firewalls and DB_CONNECT_TIMEOUT"}
	}
	return Trouble{Reason: ReasonUnreachable, Remedy: "check that the server runs and is reachable"}
}

// What a server says of this side's certificate reaches us as a TLS alert, or
// as a refusal after that.
const (
	remedyClientCertificate = "renew sslcert and sslkey, from an authority that the server knows (ssl_ca_file), for this user"
)

// isExpired reports whether the server's certificate is not valid at this time.
func isExpired(err error) bool {
	var invalid x509.CertificateInvalidError
	return errors.As(err, &invalid) && invalid.Reason == x509.Expired
}
