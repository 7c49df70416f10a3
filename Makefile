# The two commands a newcomer needs are `make up` and `make test`; `make` alone lists them all.

BIN := .venv/bin
# Made by the installation, so that it runs again when what is to be installed has changed.
INSTALLED := .venv/.installed
INSTALLED_DEV := .venv/.installed-dev
LOCK := deploy/requirements.txt
# The same with the extra postgres, for an image whose journal is shared (JOURNAL_URL).
LOCK_POSTGRES := deploy/requirements-postgres.txt
# uv and pip-audit, in an environment of their own: they must not change the packages that they look at.
TOOLS := .venv/tools

# Most tests wait for processes to start, so twice as many run as a small machine has cores; a file stays in one process.
IN_PARALLEL := -n 4 --dist loadfile
# Each of the four collects all tests, which takes half as long with the compiled files of the last run.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest $(IN_PARALLEL)

PACKAGES := server_urls state gatekeeper clients tasks workers web deploy

.PHONY: help up test check docs coverage bench bench-guard bench-peers bench-stack memory model torture torture-short torture-rabbitmq torture-postgresql torture-database matrix matrix-short nodes nodes-short hosts hosts-short teeth peers lock audit clean

help:
	@echo 'make up      install into .venv and run everything; Ctrl-C stops it'
	@echo 'make test    install and run the tests, but for the slow ones'
	@echo 'make check   what CI runs, before make torture-short: format, lint, types, layers, documentation, all tests'
	@echo 'make docs    build the documentation and the API reference into site/'
	@echo 'make coverage run all tests, and show what they miss in each file and package; TESTS=… runs some'
	@echo 'make bench   measure the gate against plain Celery'
	@echo 'make bench-peers  how fast: no-op tasks and calls of Gatehouse and nine other task queues, in about ten minutes'
	@echo 'make bench-guard fail if the processor time of a gated call grew by more than a quarter'
	@echo 'make bench-stack  the whole system: start, rest, webhooks, ticks, model calls, in about six minutes'
	@echo 'make model   try every interleaving of the protocol, and what happens without each defence'
	@echo 'make torture kill, stop, cut, empty and fill everything, for about half an hour; torture-short: for about five minutes'
	@echo 'make torture-rabbitmq  some of it in two minutes, with RabbitMQ between the processes'
	@echo 'make torture-postgresql  some of it in two minutes, with the journal in PostgreSQL'
	@echo 'make torture-database  kill, stop, fill, promote and empty that database, in two minutes'
	@echo 'make matrix  each broker with each ledger and each journal, while each server is killed; matrix-short: one kill each'
	@echo 'make nodes   three nodes of RabbitMQ, of which one after the other is killed, in three minutes; nodes-short: only one of them'
	@echo 'make hosts   two hosts with networks and clocks of their own, cut off, slowed, killed and gone; hosts-short: some of it; needs root'
	@echo 'make teeth   switch off each defence in a copy, and see that the torture goes red'
	@echo 'make upgrade from the version before to this one under load, and back, with processes of both side by side'
	@echo 'make peers   how safe: the same faults on Gatehouse and seven other task queues'
	@echo 'make memory  how much memory the running system holds'
	@echo 'make lock    write deploy/requirements.txt, the packages with their hashes; UPGRADE=1 takes newer ones'
	@echo 'make audit   look up known vulnerabilities of the locked packages; fails also if one cannot be looked up'
	@echo 'make clean   remove .venv and caches; data and posts stay'
	@echo 'PYTHON=…     the Python to use, 3.11 or newer (default: python3)'

up: $(INSTALLED)
	@exec $(BIN)/python -m deploy.up --validate

test: $(INSTALLED_DEV)
	@echo 'The tests take some minutes; the percentage shows how far they are.'
	@$(PYTEST) -m 'not slow'

check: $(INSTALLED_DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict .
	$(BIN)/lint-imports
	$(BIN)/mkdocs build --strict
	$(PYTEST)

docs: $(INSTALLED_DEV)
	@$(BIN)/mkdocs build --strict
	@echo 'Open site/index.html'

# Workers and commands that the tests start are measured too; what a test kills with SIGKILL is not, and may leave a
# broken file. TESTS names some tests instead of all, such as TESTS='tests/unit tests/scripts'. The report also comes if
# a test fails.
coverage: $(INSTALLED_DEV)
	@$(BIN)/coverage erase
	@code=0; $(BIN)/coverage run -m pytest $(IN_PARALLEL) $(TESTS) || code=$$?; \
	$(BIN)/coverage combine --quiet; rm -f .coverage.*; $(BIN)/coverage report && \
	for package in $(PACKAGES); do \
	  printf '%-11s %4s %%\n' $$package "$$($(BIN)/coverage report --include="$$package/*" --format=total)"; \
	done && exit $$code

bench: $(INSTALLED_DEV)
	@$(BIN)/python -m bench

bench-guard: $(INSTALLED_DEV)
	@$(BIN)/python -m bench.guard

bench-peers: $(INSTALLED_DEV)
	@$(BIN)/python -m bench.peers.speed --write bench/peers/SPEED.md --page docs/performance.md

bench-stack: $(INSTALLED_DEV)
	@$(BIN)/python -m bench.stack

model: $(INSTALLED_DEV)
	@$(BIN)/python -m tests.model

torture: $(INSTALLED_DEV)
	@$(BIN)/python -m tests.torture --long --write docs/torture.md

torture-short: $(INSTALLED_DEV)
	@$(BIN)/python -m tests.torture --short $(foreach one,F40 F41 F42 F43 F44,--without $(one))

torture-postgresql: $(INSTALLED_DEV)
	@$(BIN)/python -m tests.torture --short --postgresql $(foreach one,F1 F4 F6 F8 F12 F14 F17 F27 F29,--only $(one))

# What becomes of the database itself.
torture-database: $(INSTALLED_DEV)
	@$(BIN)/python -m tests.torture --short --jobs 4 $(foreach one,F40 F41 F42 F43 F44,--only $(one))

# Not the scenarios that look into Redis for messages.
torture-rabbitmq: $(INSTALLED_DEV)
	@$(BIN)/python -m tests.torture --short --rabbitmq $(foreach one,F1 F2 F3 F6 F8 F12 F17 F26 F27 F29 F30,--only $(one))

matrix: $(INSTALLED_DEV)
	@$(BIN)/python -m tests.matrix --jobs 4 --write docs/matrix.md

matrix-short: $(INSTALLED_DEV)
	@$(BIN)/python -m tests.matrix --short

nodes: $(INSTALLED_DEV)
	@$(BIN)/python -m tests.matrix.nodes

nodes-short: $(INSTALLED_DEV)
	@$(BIN)/python -m tests.matrix.nodes --short

hosts: $(INSTALLED_DEV)
	@$(BIN)/python -m tests.hosts --write docs/hosts.md

hosts-short: $(INSTALLED_DEV)
	@$(BIN)/python -m tests.hosts --short

teeth: $(INSTALLED_DEV)
	@$(BIN)/python -m tests.torture --teeth

# Exits with 77 if this clone does not have the version before, which tests/upgrade/previous.txt names.
.PHONY: upgrade
upgrade: $(INSTALLED_DEV)
	@$(BIN)/python -m tests.upgrade

peers: $(INSTALLED_DEV)
	@$(BIN)/python -m bench.peers --at-once 3 --write bench/peers/RESULTS.md

memory: $(INSTALLED)
	@$(BIN)/python -m deploy.memory --limit 215

COMPILE = $(TOOLS)/bin/uv pip compile pyproject.toml --group build --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' --quiet

# The lock holds for every Python and machine that pyproject.toml allows. Versions in it stay, unless UPGRADE is given.
lock: $(TOOLS)/.installed
	@$(COMPILE) $(if $(UPGRADE),--upgrade) --output-file $(LOCK) >/dev/null
	@$(COMPILE) --extra postgres --constraint $(LOCK) $(if $(UPGRADE),--upgrade) --output-file $(LOCK_POSTGRES) >/dev/null

# Strict: a package that cannot be looked up is a failure too. CI passes STRICT= and only lists such packages.
audit: STRICT ?= --strict
audit: $(TOOLS)/.installed
	@$(TOOLS)/bin/pip-audit $(STRICT) --require-hashes --disable-pip --progress-spinner off --requirement $(LOCK)

clean:
	rm -rf .venv build site .coverage* *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): pyproject.toml deploy/install.sh $(LOCK)
	@PYTHON='$(PYTHON)' sh deploy/install.sh .
	@touch $@

$(INSTALLED_DEV): pyproject.toml deploy/install.sh
	@PYTHON='$(PYTHON)' sh deploy/install.sh '.[dev]'
	@touch $@ $(INSTALLED)

$(TOOLS)/.installed: | $(INSTALLED)
	@$(BIN)/python -m venv $(TOOLS)
	@$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.5,<1' 'pip-audit>=2.7,<3'
	@touch $@
