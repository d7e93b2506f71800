# Doors to the scripts, which work without make as well: see scripts/.
.DEFAULT_GOAL := help
.PHONY: help run trouble test race lint format bench size api tags gate

help: ## say what there is
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

run: ## the example service, with its own PostgreSQL and some traffic
	go run ./examples/service --load

trouble: ## play five troubles and print what each place says of them
	go run ./examples/trouble

test: ## all tests of all modules; ARGS="-run Session" goes to go test
	scripts/test.sh $(ARGS)

race: ## the same with the race detector, and no test may be skipped
	scripts/race.sh $(ARGS)

lint: ## formatting, tidy modules, go vet, golangci-lint
	scripts/format.sh
	scripts/modules.sh
	scripts/vet.sh
	scripts/page.sh
	scripts/lint.sh

format: ## gofmt for every file
	scripts/format.sh --write

bench: ## measure beside database/sql and pgxpool, on a quiet machine
	scripts/bench.sh $(ARGS)

size: ## what dbpool adds to a program, beside pgx
	scripts/size.sh --table

api: ## compare what the packages export with the last tag
	scripts/api.sh

tags: ## check that the modules agree; VERSION=v0.1.0 prints the tags of a version
	scripts/tags.sh $(VERSION)

gate: ## everything that must pass before a change lands
	.ci/run
