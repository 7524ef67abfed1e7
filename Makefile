# Everything happens in .venv, made with Python 3.11 or newer: PYTHON=python3.12 make test
# Options of the benchmark: make bench BENCH="--workload W2 --rounds 5"
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The C compiler's level of optimisation. The benchmark is of its best; the tests need none, which saves them minutes.
LEVEL ?= $(if $(filter compiled bench%,$(MAKECMDGOALS)),2,0)
COMPILED := build/compiled-$(LEVEL)
# One more than there are processors: many tests wait for a time or for a process of theirs. A worker that has nothing left
# takes over from one that has.
PYTEST = $(CURDIR)/$(BIN)/pytest -n $(shell expr $$(nproc) + 1) --dist worksteal
# Every process that a test starts would otherwise compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE
IN_COMPILED = cd $(COMPILED) && PYTHONPATH=$(CURDIR)/$(COMPILED)

.PHONY: run test lint types unit compiled unit-compiled bench bench-report bench-logs bench-setup smuggle never-down schemathesis keystone test-keystone test-openstack test-page soak fuzz fuzz-short fuzz-listener fuzz-upstream reference clean

run: $(VENV)/.runtime
	@$(BIN)/weir demo

# What is one process that computes runs two at a time, before the tests, which have deadlines to keep.
test: $(VENV)/.dev $(VENV)/.fuzz
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target LEVEL=$(LEVEL) lint compiled types keystone fuzz-listener fuzz-upstream
	@$(MAKE) --no-print-directory LEVEL=$(LEVEL) unit unit-compiled
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target test-keystone test-page

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.dev
	$(BIN)/mypy

unit: $(VENV)/.dev
	@PATH="$$PATH:/usr/sbin"; { command -v redis-server && command -v nginx && command -v logrotate && command -v curl; } >/dev/null \
		|| { [ "$$(id -u)" = 0 ] && apt-get update --quiet && apt-get install --yes --quiet redis-server nginx-light logrotate curl; } \
		|| { echo "Redis, nginx, logrotate and curl are needed; on Debian and Ubuntu: apt-get install redis-server nginx-light logrotate curl" >&2; exit 1; }
	$(PYTEST)

# The gateway with its hot modules compiled, and the tests that run against it from outside and through the public API.
compiled: $(COMPILED)/.made

$(COMPILED)/.made: $(VENV)/.dev pyproject.toml hatch_build.py $(shell find gateway filters -name '*.py')
	@command -v cc >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get install --yes --quiet gcc libc6-dev python3-dev; } \
		|| { echo "a C compiler is needed; on Debian and Ubuntu: apt-get install gcc python3-dev" >&2; exit 1; }
	@echo "compiling into $(COMPILED) ..."
	@rm -rf $(COMPILED)
	@# A cache of its own, since mypy may run beside it; and of what pip installs for the build, little is ever imported.
	@MYPY_CACHE_DIR=$(CURDIR)/build/.mypy_cache PIP_COMPILE=0 WEIR_COMPILE=1 WEIR_COMPILE_LEVEL=$(LEVEL) $(BIN)/pip install --quiet --disable-pip-version-check --no-deps --target $(COMPILED) .
	@ln -s $(CURDIR)/tests $(CURDIR)/config $(CURDIR)/pyproject.toml $(COMPILED)/
	@touch $@

unit-compiled: $(COMPILED)/.made
	@$(IN_COMPILED) $(CURDIR)/$(BIN)/python -c 'import gateway; assert gateway.form() == "compiled"'
	$(IN_COMPILED) $(PYTEST) tests/contract tests/rfc tests/wire tests/api tests/http \
		tests/filters tests/test_chain.py tests/test_flow.py tests/test_record.py tests/test_serializer.py \
		--ignore tests/filters/api --ignore tests/filters/rate_limit --ignore tests/filters/token_auth --ignore tests/filters/test_concurrency.py --ignore tests/api/test_reason.py

bench-setup: $(COMPILED)/.made
	$(BIN)/python -m tests.bench --setup

bench: bench-setup
	$(IN_COMPILED) $(CURDIR)/$(BIN)/python -m tests.bench $(BENCH)

bench-report: bench-setup
	$(IN_COMPILED) $(CURDIR)/$(BIN)/python -m tests.bench --workload all --report ../../docs/bench.md $(BENCH)

# How long questions about ten million records take: 30 GB of disk. jq is asked where it is installed.
bench-logs: $(COMPILED)/.made
	$(IN_COMPILED) $(CURDIR)/$(BIN)/python -m tests.bench.inspection --report ../../docs/inspection.md $(BENCH)

# Options: make smuggle SMUGGLE="--seed 7 --minutes 60"
smuggle: $(VENV)/.dev
	$(BIN)/python -m tests.smuggling $(SMUGGLE)

# Reloads, killed workers and restarts under load: two minutes.
never-down: $(VENV)/.dev
	WEIR_NEVER_DOWN=full $(BIN)/pytest tests/supervisor/test_never_down.py

keystone: $(VENV)/.dev
	@$(BIN)/python -m tests.openstack.install keystone

# Against a real Keystone, from its packages and on SQLite, which is installed below build/ the first time: a minute.
test-keystone: keystone
	WEIR_OPENSTACK=1 $(BIN)/pytest tests/openstack/test_keystone.py

# The same, and with Glance, Nova and their clients behind the gateway, which take some minutes to install the first time.
test-openstack: $(VENV)/.dev
	@$(BIN)/python -m tests.openstack.install
	WEIR_OPENSTACK=1 $(BIN)/pytest tests/openstack

# The admin page in Chromium. Pictures of it: make test-page SCREENSHOTS=directory
test-page: $(VENV)/.dev
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update --quiet && apt-get install --yes --quiet chromium; } \
		|| { echo "Chromium is needed; on Debian and Ubuntu: apt-get install chromium" >&2; exit 1; }
	WEIR_PAGE=1 WEIR_SCREENSHOTS=$(SCREENSHOTS) $(BIN)/pytest -n 2 tests/page

# Options: make fuzz FUZZ="--minutes 60 listener"
fuzz: $(VENV)/.fuzz
	$(BIN)/python -m tests.fuzz $(FUZZ)

# A minute of each target, side by side.
fuzz-short: $(VENV)/.fuzz
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target fuzz-listener fuzz-upstream

fuzz-listener fuzz-upstream: fuzz-%: $(VENV)/.fuzz
	$(BIN)/python -m tests.fuzz --minutes 1 $*

# Three hundred requests of each kind to each operation of the described metadata API: five minutes.
schemathesis: $(VENV)/.dev
	WEIR_SCHEMATHESIS=full $(BIN)/pytest tests/contract/test_schemathesis.py

# Options: make soak SOAK="--minutes 1 --seed 7"
soak: $(VENV)/.dev
	$(BIN)/python -m tests.soak $(SOAK)

reference: $(VENV)/.dev
	$(BIN)/weir reference > config/REFERENCE.md
	$(BIN)/weir reference --repose > docs/from-repose.md

clean:
	rm -rf $(VENV) weir-demo dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .fuzz

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: PYTHON=python3.12 make ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make environments; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.runtime: $(VENV)/.python pyproject.toml
	@echo "installing into $(VENV) ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.python pyproject.toml
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/.runtime

# Without a wheel of atheris for this Python the targets are fed all the same, only not guided.
$(VENV)/.fuzz: $(VENV)/.dev
	@$(BIN)/pip install --quiet --disable-pip-version-check --only-binary atheris --editable '.[fuzz]' || echo "atheris cannot be installed here" >&2
	@touch $@
