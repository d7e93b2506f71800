package config

const writeDSN = "write postgres://user:password@host:5432/database, with special characters percent-encoded, or host=… user=… dbname=…"

const writeEscaped = "write special characters percent-encoded: / as %2F, @ as %40, : as %3A, ? as %3F, # as %23"

// dsn checks a connection string as far as that is possible without a
// connection. No rule quotes any of it.
func (k *checker) dsn(variable string, d DSN) {
	if rule, remedy := misread(string(d)); rule != "" {
		k.refuse(variable, rule, remedy)
		return
	}
	said, err := d.settings()
	if err != nil {
		k.refuse(variable, err.Error(), writeDSN)
		return
	}
	if rule := spilled(d, said); rule != "" {
		k.refuse(variable, rule, writeEscaped)
		return
	}
	if err := checkHosts(said); err != nil {
		k.refuse(variable, err.Error(), writeDSN)
	}
	k.parameters(variable, d)
	for _, c := range keywordChoices() {
		if !c.knows(said[c.keyword]) {
			k.refuse(variable, "has an unknown "+c.keyword, c.remedy())
		}
	}
	if _, ok := connectTimeout(said); !ok && said["connect_timeout"] != "" {
		k.refuse(variable, "has a connect_timeout that is not a number of seconds", "write a whole number, or set DB_CONNECT_TIMEOUT instead")
	}
	if _, ok := statementTimeout(said); !ok && statementTimeoutText(said) != "" {
		k.refuse(variable, "has a statement_timeout (PGOPTIONS included) that is not a time", "write 30000 or 30s, or set DB_STATEMENT_TIMEOUT instead")
	}
}
