package dial

import (
	"errors"
	"io/fs"
	"maps"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/dbpool-go/dbpool/config"
)

// readConfig reads what a connection is opened with: the connection string
// and the files that it names, which are the password file, the service file and
// those of TLS. Each dial reads them anew, for passwords and certificates are
// replaced there while the service runs.
func readConfig(dsn config.DSN) (*pgx.ConnConfig, error) {
	cc, err := pgx.ParseConfig(string(dsn))
	if err != nil {
		return nil, newConfigError(err)
	}
	cc.ConnectTimeout = 0 // the dialer bounds all hosts together
	maps.DeleteFunc(cc.RuntimeParams, func(name, _ string) bool { return config.Ignored(name) })
	return cc, nil
}

// configError says why the connection string cannot be used, without what
// the driver says of it: that may quote the connection string.
type configError struct {
	message string
}

func (e *configError) Error() string { return e.message }

func newConfigError(err error) *configError {
	var path *fs.PathError
	if errors.As(err, &path) {
		return &configError{"a file that DATABASE_URL names cannot be read: " + path.Err.Error()}
	}
	for _, known := range []struct{ theirs, ours string }{
		{"tls: private key does not match public key", "sslcert and sslkey do not belong together"},
		{"unable to add CA to cert pool", "sslrootcert holds no certificate in PEM form"},
		{"failed to find any PEM data in key input", "sslkey holds no key in PEM form"},
		{"failed to find any PEM data in certificate input", "sslcert holds no certificate in PEM form"},
		{"failed to decode", "sslkey holds no key in PEM form"},
		{"unable to decrypt key", "sslpassword does not open sslkey"},
		{"failed to read service", "the service file cannot be read, or does not have the service"},
		{"failed to configure TLS", "the files of TLS that DATABASE_URL names cannot be used"},
	} {
		if strings.Contains(err.Error(), known.theirs) {
			return &configError{known.ours}
		}
	}
	return &configError{"PostgreSQL's driver cannot parse it; write it as postgres://user@host:5432/database or as host=… user=… dbname=…"}
}
