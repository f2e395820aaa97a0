.DEFAULT_GOAL := help
BIN := .venv/bin
T ?=          # make test T=tests/engine/test_scheduler.py picks some tests
PORT ?=
DATA ?=
WORKERS ?=

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Start
.PHONY: setup run dev
setup: .venv/.runtime static/dist/.built ## Make .venv, install from the lock file, build the page assets
	@$(BIN)/python -m compileall -q webapp jobs  # once, or each of the first processes would do it

run: setup ## Serve at http://127.0.0.1:8000 (PORT=9000 DATA=folder WORKERS=2 change it)
	@exec $(BIN)/deckhand up $(if $(strip $(PORT)),--port $(strip $(PORT))) \
		$(if $(strip $(DATA)),--data $(strip $(DATA))) $(if $(strip $(WORKERS)),--workers $(strip $(WORKERS)))

dev: setup .venv/.dev ## Like run, and starts web, worker and steward again when their code changes
	@exec $(BIN)/deckhand up --reload $(if $(strip $(PORT)),--port $(strip $(PORT))) \
		$(if $(strip $(DATA)),--data $(strip $(DATA)))

##@ Check
.PHONY: test check fix lint types imports templates
test: setup .venv/.dev ## Run the tests on SQLite and on PostgreSQL; T=path picks some
	@$(BIN)/python tests/run.py $(T)

check: lint types imports templates ## Format, lint, types, imports between packages, templates

lint: .venv/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
types: .venv/.dev
	$(BIN)/mypy
imports: .venv/.dev
	$(BIN)/lint-imports
templates: .venv/.dev
	$(BIN)/djlint templates --lint --quiet

fix: .venv/.dev ## Format, and repair what can be repaired
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

##@ Database
.PHONY: migrate migration
migrate: setup ## Bring the database to the newest schema
	$(BIN)/deckhand db upgrade

migration: setup .venv/.dev ## Draft a migration: make migration M="add schedules"
	@[ -n "$(M)" ] || { echo 'Say what changes: make migration M="add schedules"'; exit 2; }
	$(BIN)/flask --app webapp.commands.db:migrating db migrate -m "$(M)"

##@ Measure
.PHONY: bench chaos fuzz
bench: setup .venv/.dev ## Print figures as JSON lines
	@$(BIN)/python -m bench

chaos: setup .venv/.dev ## Kill, stop, starve and flood the parts; ROWS=D3,L6 N=200 DB=postgres
	@$(BIN)/python -m tests.chaos $(if $(ROWS),--rows $(ROWS)) $(if $(N),--times $(N)) \
		$(if $(filter postgres,$(DB)),--postgres)

fuzz: setup .venv/.dev ## Ask the API for what its description promises; SECONDS=600
	@FUZZ_SECONDS=$(or $(SECONDS),600) FUZZ_EXAMPLES=100 FUZZ_SEED=$$(date +%s) \
		$(BIN)/python -m pytest -q -s tests/api/test_fuzz.py

##@ Keep
.PHONY: wheel lock docs
wheel: setup ## Put a wheel into dist/, with built pages: pip installs it anywhere
	@$(BIN)/python -m pip wheel -q --disable-pip-version-check --no-deps --no-build-isolation -w dist .

lock: .venv/.dev ## Write the lock files from pyproject.toml
	@sh .ci/lock

docs: .venv/.dev ## Write the pages of docs/ that are made from code
	$(BIN)/python -m webapp.commands.reference

# What stands behind setup: each stamp is older than its inputs only when they changed.
.venv/bin/python:
	@sh .ci/venv

.venv/.runtime: requirements.lock pyproject.toml | .venv/bin/python
	@echo "Installing from requirements.lock"
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.venv/.dev: requirements-dev.lock .venv/.runtime
	@echo "Installing the test tools from requirements-dev.lock"
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.lock
	@touch $@

ASSETS := package-lock.json static/build.mjs $(shell find static/css static/js static/icons -type f 2>/dev/null)
static/dist/.built: $(ASSETS)
	@sh .ci/assets && mkdir -p $(@D) && touch $@
