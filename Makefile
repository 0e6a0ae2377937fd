# CANDELA. `make help` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DATA ?= candela-data

.PHONY: help dev demo test check bench describe serve lock clean system

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(STAMP): requirements.lock pyproject.toml setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --no-deps --editable .
	@rm -rf .typing && mkdir -p .typing/candela \
	  && ln -s $(CURDIR)/candela/* .typing/candela/ \
	  && ln -s $(CURDIR)/services .typing/candela/services \
	  && ln -s $(CURDIR)/client .typing/candela/client \
	  && ln -s $(CURDIR)/wps_config .typing/candela/wps_config
	@touch $@

dev: $(STAMP) ## Set up the virtual environment .venv

check: dev ## Format, lint and type checks
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy .typing/candela
	$(BIN)/yamllint --strict .

lock: ## Pin all dependencies again in requirements.lock
	$(BIN)/pip-compile --quiet --upgrade --all-extras --generate-hashes --strip-extras \
	  --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
	  --output-file requirements.lock pyproject.toml
