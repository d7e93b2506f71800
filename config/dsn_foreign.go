package config

// foreign is a parameter that other programs take in a connection string.
type foreign struct {
	owner  string // whose it is
	remedy string // what to do instead
	// tolerated are values with which it changes nothing, so that it may be
	// ignored; "*" is any value. Only for libpq's own.
	tolerated []string
}

// anyValue tolerates whatever the parameter is set to.
var anyValue = []string{"*"}

const (
	remedySizes   = "set DB_POOL_SIZE and DB_MAX_OVERFLOW, which are added up, and take it out"
	remedyPrepare = "take it out, or set default_query_exec_mode (pgx's) if statements must not be prepared"
	remedyNothing = "take it out"
)

// foreigners are the parameters of others, by name in lower case: those that
// people bring along when they move a connection string here. The server would
// refuse every connection that is opened with one.
func foreigners() map[string]foreign {
	all := map[string]foreign{}
	add := func(owner, remedy string, names ...string) {
		for _, name := range names {
			all[name] = foreign{owner: owner, remedy: remedy}
		}
	}
	addLibpq(all)
	addPools(add)
	addDrivers(add)
	return all
}

// addLibpq adds libpq's parameters that the driver does not know. Where one
// protects the connection it is not ignored.
func addLibpq(all map[string]foreign) {
	for name, f := range map[string]foreign{
		"keepalives":               {tolerated: anyValue},
		"keepalives_idle":          {tolerated: anyValue},
		"keepalives_interval":      {tolerated: anyValue},
		"keepalives_count":         {tolerated: anyValue},
		"sslcompression":           {tolerated: anyValue},
		"sslkeylogfile":            {tolerated: anyValue},
		"gsslib":                   {tolerated: anyValue},
		"gssdelegation":            {tolerated: anyValue},
		"authtype":                 {tolerated: anyValue},
		"tty":                      {tolerated: anyValue},
		"gssencmode":               {tolerated: []string{"", "disable", "prefer"}, remedy: "encrypt with TLS instead: sslmode=verify-full"},
		"load_balance_hosts":       {tolerated: []string{"", "disable"}, remedy: "take it out: hosts are tried in order; spread replicas by a name that resolves to several addresses"},
		"requiressl":               {tolerated: []string{"", "0"}, remedy: "set sslmode=require"},
		"ssl_min_protocol_version": {tolerated: []string{"", "TLSv1", "TLSv1.1", "TLSv1.2"}, remedy: "set MinVersion of the TLS configuration in pool.WithConnConfig"},
		"ssl_max_protocol_version": {tolerated: []string{"", "TLSv1.3"}, remedy: "set MaxVersion of the TLS configuration in pool.WithConnConfig"},
		"hostaddr":                 {remedy: "write the address as the host"},
		"sslcrl":                   {remedy: "check revocation in VerifyPeerCertificate of the TLS configuration (pool.WithConnConfig), and take it out"},
		"sslcrldir":                {remedy: "check revocation in VerifyPeerCertificate of the TLS configuration (pool.WithConnConfig), and take it out"},
		"requirepeer":              {remedy: "check the peer in pool.WithDialFunc, and take it out"},
		"replication":              {remedy: "take it out: a pool has no use for replication connections"},
		"scram_client_key":         {remedy: "set the password, or pool.WithCredentials"},
		"scram_server_key":         {remedy: "set the password, or pool.WithCredentials"},
		"oauth_issuer":             {remedy: "give the token in pool.WithCredentials"},
		"oauth_client_id":          {remedy: "give the token in pool.WithCredentials"},
		"oauth_client_secret":      {remedy: "give the token in pool.WithCredentials"},
		"oauth_scope":              {remedy: "give the token in pool.WithCredentials"},
	} {
		f.owner = "libpq"
		all[name] = f
	}
}

// addPools adds the settings of other pools.
func addPools(add func(owner, remedy string, names ...string)) {
	add("pgxpool", remedySizes, "pool_max_conns")
	add("pgxpool", "set DB_MIN_IDLE and take it out", "pool_min_conns", "pool_min_idle_conns")
	add("pgxpool", "set DB_POOL_RECYCLE (seconds) and take it out", "pool_max_conn_lifetime")
	add("pgxpool", "take it out: ages are spread by themselves", "pool_max_conn_lifetime_jitter")
	add("pgxpool", "set DB_OVERFLOW_LINGER (seconds) and take it out", "pool_max_conn_idle_time")
	add("pgxpool", "take it out: a connection is checked before each use", "pool_health_check_period", "pool_ping_timeout")

	add("Prisma", remedySizes, "connection_limit")
	add("Prisma", "set DB_POOL_TIMEOUT (seconds) and take it out", "pool_timeout")
	add("Prisma", "set DB_POOLER=pgbouncer and take it out", "pgbouncer")
	add("Prisma", "set search_path instead", "schema")
	add("Prisma", "set sslmode=verify-full for strict, sslmode=require for accept_invalid_certs", "sslaccept")
	add("Prisma", "set sslcert and sslkey instead", "sslidentity")
	add("Prisma", "set DB_STATEMENT_TIMEOUT (milliseconds) and take it out", "socket_timeout")
	add("Prisma", "set DB_POOL_RECYCLE (seconds) and take it out", "max_connection_lifetime")
	add("Prisma", "set DB_OVERFLOW_LINGER (seconds) and take it out", "max_idle_connection_lifetime")

	add("SQLAlchemy", "set DB_POOL_SIZE and take it out", "pool_size")
	add("SQLAlchemy", "set DB_MAX_OVERFLOW and take it out", "max_overflow")
	add("SQLAlchemy", "set DB_POOL_RECYCLE (seconds) and take it out", "pool_recycle")
	add("SQLAlchemy", "take it out: a connection is checked before each use", "pool_pre_ping")

	add("HikariCP", remedySizes, "maximumpoolsize")
	add("HikariCP", "set DB_MIN_IDLE and take it out", "minimumidle")
	add("HikariCP", "set DB_POOL_RECYCLE (seconds) and take it out", "maxlifetime")
	add("HikariCP", "set DB_OVERFLOW_LINGER (seconds) and take it out", "idletimeout")
	add("HikariCP", "set DB_POOL_TIMEOUT (seconds) and take it out", "connectiontimeout")
	add("HikariCP", "set DB_LEAK_THRESHOLD (seconds) and take it out", "leakdetectionthreshold")

	add("another pool", remedySizes, "pool", "max", "max_size", "max_connections", "max_conns", "max_open_conns", "poolsize", "max_pool_size")
	add("another pool", "set DB_MIN_IDLE and take it out", "min", "min_size", "min_connections", "min_pool_size")
	add("another pool", "set DB_POOL_SIZE and take it out", "max_idle_conns")
	add("another pool", "set DB_POOL_RECYCLE (seconds) and take it out", "max_lifetime", "conn_max_age", "conn_max_lifetime", "max_conn_lifetime")
	add("another pool", "set DB_OVERFLOW_LINGER (seconds) and take it out", "idle_timeout", "idletimeoutmillis", "max_idle_time", "reaping_frequency")
	add("another pool", "set DB_POOL_TIMEOUT (seconds) and take it out", "checkout_timeout", "acquire_timeout", "connectiontimeoutmillis", "queue_target", "queue_interval")
}

// addDrivers adds the settings of other drivers and frameworks.
func addDrivers(add func(owner, remedy string, names ...string)) {
	add("JDBC", "set search_path instead", "currentschema")
	add("JDBC", "set application_name instead, or DB_APPLICATION_NAME", "applicationname")
	add("JDBC", "set DB_CONNECT_TIMEOUT (seconds) and take it out", "logintimeout", "connecttimeout")
	add("JDBC", "set DB_STATEMENT_TIMEOUT (milliseconds) and take it out", "sockettimeout", "querytimeout")
	add("JDBC", "set target_session_attrs instead", "targetservertype")
	add("JDBC", "take it out: hosts are tried in order", "loadbalancehosts", "hostrecheckseconds")
	add("JDBC", "set default_transaction_read_only=on instead", "readonly", "readonlymode")
	add("JDBC", remedyPrepare, "preparethreshold", "preferquerymode", "preparedstatementcachequeries", "preparedstatementcachesizemib")
	add("JDBC", "set sslmode and sslrootcert instead", "sslfactory", "sslfactoryarg", "sslhostnameverifier", "sslpasswordcallback")
	add("JDBC", remedyNothing, "tcpkeepalive", "tcpnodelay", "rewritebatchedinserts", "stringtype", "binarytransfer", "defaultrowfetchsize",
		"assumeminserverversion", "autosave", "cancelsignaltimeout", "adaptivefetch", "loggerlevel", "loggerfile",
		"logunclosedconnections", "logservererrordetail", "receivebuffersize", "sendbuffersize", "sslresponsetimeout", "escapesyntaxcallmode",
		"allowencodingchanges", "disablecolumnsanitiser", "quotereturningidentifiers", "useunicode", "characterencoding")

	add("asyncpg", "set DB_STATEMENT_TIMEOUT (milliseconds) and take it out", "command_timeout")
	add("asyncpg", remedyPrepare, "prepared_statement_cache_size", "prepared_statement_name_func", "statement_cache_size", "max_cached_statement_lifetime")
	add("asyncpg", remedyNothing, "async_fallback", "server_settings")
	add("lib/pq", remedyPrepare, "binary_parameters", "disable_prepared_binary_result")
	add("lib/pq", "put certificate and key into files, or into pool.WithConnConfig", "sslinline")
	add("an older pgx", "set default_query_exec_mode=simple_protocol instead", "prefer_simple_protocol")
	add("an older pgx", remedyPrepare, "statement_cache_mode")
	add("node-postgres", "set DB_STATEMENT_TIMEOUT (milliseconds) and take it out", "query_timeout")
	add("node-postgres", remedyNothing, "uselibpqcompat", "keepalive", "keepaliveinitialdelaymillis", "allowexitonidle")
	add("Rails", "set search_path instead", "schema_search_path")
	add("Rails", "set client_min_messages instead", "min_messages")
	add("Rails", "take it out: the encoding is always UTF-8", "encoding", "charset")
	add("Rails", remedyPrepare, "prepared_statements", "statement_limit")
	add("Rails", remedyNothing, "adapter", "reconnect", "advisory_locks", "insert_returning", "variables")
	add("Supabase", "set DB_POOLER=pgbouncer and take it out", "workaround", "supa")
	add("another driver", "set sslmode instead: require, or verify-full with sslrootcert", "ssl", "ssl_mode", "tls", "sslverify", "ssl_require", "usessl", "trustservercertificate")
	add("another driver", "write host instead", "server", "hostname", "data_source")
	add("another driver", "write user instead", "username", "uid", "user_id", "userid")
	add("another driver", "write password instead", "pwd", "passwd", "pass", "passwort")
	add("another driver", "write dbname instead", "db", "db_name", "initial_catalog", "catalog")
}
