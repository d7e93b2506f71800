module github.com/dbpool-go/dbpool/pool/adapters/echopool

go 1.26.0

require (
	github.com/dbpool-go/dbpool v0.0.0
	github.com/labstack/echo/v5 v5.4.5
	go.uber.org/goleak v1.3.0
)

require (
	github.com/caarlos0/env/v10 v10.0.0 // indirect
	github.com/jackc/pgpassfile v1.0.0 // indirect
	github.com/jackc/pgservicefile v0.0.0-20240606120523-5a60cdf6a761 // indirect
	github.com/jackc/pgx/v5 v5.13.0 // indirect
	github.com/jackc/puddle/v2 v2.2.3 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/text v0.43.0 // indirect
	golang.org/x/time v0.15.0 // indirect
)

replace github.com/dbpool-go/dbpool => ../../..
