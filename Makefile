# One word for each thing a developer does. `make` alone lists them.
# Needs Python 3.11 or newer, git and make; all else goes into .venv, and nothing outside this folder is changed.
#   make test PYTHON=python3.13    another interpreter (after `make clean`)
#   make test ARGS="-k pack -x"    words for pytest
#   make test ARGS=--hypothesis-seed=7    the cases of a run that printed `seed: 7`
#   make test WORKERS=0                   the tests one after another in one process, for a debugger

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help setup up test browser lint types arrow vectors pytest demo bench fuzz constraints clean

# Left set, the first two would put someone else's packages before those of .venv, and the last would hide what is never
# flushed.
unexport PYTHONHOME PYTHONPATH PYTHONUNBUFFERED

ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$python" -c '$(ENOUGH)' 2>/dev/null && { echo "$$python"; break; }; done)
BIN := .venv/bin
READY := .venv/ready
ARGS ?=
# A worker for each core; more than four would only be in each other's way in tests that use the clock.
WORKERS ?= auto
AT_ONCE = -n $(WORKERS) --maxprocesses 4 --dist loadgroup

# The build's own tools are pinned like the rest, so the build must not fetch others in a place of its own.
BUILD := hatchling editables
PIP = -m pip --disable-pip-version-check --no-input --quiet install
TYPED = src tests $(wildcard bench/*.py examples/*.py examples/*/*.py)
VECTORS = $(wildcard docs/spec/vectors/make.py)

help: ## print these lines
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | \
		while IFS='|' read -r target does; do printf '%-18s%s\n' "$$target" "$$does"; done

setup: $(READY) ## put all that is needed into .venv; done at need by the others too

$(READY): pyproject.toml constraints.txt src/ropewalk/_version.py
	@test -n "$(PYTHON)" || \
		{ echo "make: no Python 3.11 or newer found: install one, or say where: make PYTHON=/path/to/python3"; exit 1; }
	@"$(PYTHON)" -c '$(ENOUGH)' 2>/dev/null || \
		{ echo "make: $(PYTHON) is not Python 3.11 or newer: say where one is: make PYTHON=/path/to/python3"; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip' 2>/dev/null || \
		{ echo "make: $(PYTHON) cannot make virtual environments: Debian has that in python3-venv"; exit 1; }
	@echo "setting up .venv (a minute or so, once)"
	@"$(PYTHON)" -m venv .venv
	@$(BIN)/python $(PIP) --constraint constraints.txt $(BUILD)
	@$(BIN)/python $(PIP) --constraint constraints.txt --no-build-isolation --editable '.[console,engines,keyring,otel,qt,ssh,telnet,dev]'
	@touch $@

up: $(READY) ## a node with a web page, and all that it takes; ^C stops it
	@$(BIN)/ropewalk up --new --browser $(ARGS) || test $$? -eq 130

test: browser lint types arrow vectors pytest ## all that CI runs: the targets from browser to pytest, in this order

browser: ## a browser for tests of pages, where this system's packages may be installed by who asks
	@command -v chromium >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && \
		echo "installing chromium, for tests of pages" && { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y chromium; } \
		>/dev/null 2>&1 </dev/null; } || echo "no chromium, and it is not installed from here: its tests are skipped"

lint: $(READY) ## style and likely bugs (`.venv/bin/ruff format` and `ruff check --fix` mend most)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(READY) ## strict types
	$(BIN)/mypy $(TYPED)

arrow: $(READY) ## imports point down only
	$(BIN)/lint-imports --no-logo

vectors: $(READY) ## the spec's vectors are what its script makes
	$(if $(VECTORS),$(BIN)/python $(VECTORS) --check)

pytest: $(READY) ## the tests alone
	$(BIN)/python -m pytest $(AT_ONCE) $(ARGS)

demo: $(READY) ## the main job on real data: stores die, every byte comes back
	$(BIN)/python examples/demo.py $(ARGS)

bench: $(READY) ## rates beside the floors and the peers on this machine; ARGS="--only platform" picks a part
	$(BIN)/python bench/run.py $(ARGS)

fuzz: $(READY) ## property tests with far more cases than usual; ARGS=tests/... picks some
	$(BIN)/python -m pytest $(AT_ONCE) -m hypothesis --hypothesis-profile=fuzz $(ARGS)

constraints: ## write constraints.txt anew: the newest of everything that pyproject.toml allows
	@rm -rf .venv/fresh
	@"$(PYTHON)" -m venv .venv/fresh
	@.venv/fresh/bin/python $(PIP) $(BUILD) '.[console,engines,keyring,otel,qt,ssh,telnet,dev]'
	@{ echo "# The exact versions that make uses; users get the ranges of pyproject.toml. Written by make constraints,"; \
		echo "# with the oldest Python we support, since that one needs the most packages."; \
		.venv/fresh/bin/python -m pip freeze --exclude ropewalk --exclude setuptools; } >constraints.new
	@rm -rf .venv/fresh
	@mv constraints.new constraints.txt

clean: ## remove .venv, caches and what was built
	rm -rf .venv build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find src tests bench docs examples -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
