# CANDELA. `make` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DATA ?= candela-data
PRODUCTS ?=
SIZE ?=
TESTS ?= tests
WORKERS ?= 2
NAME ?= balanced
OUTPUT ?= .cache/encoders
DEBIAN := cgi-mapserver lighttpd fonts-dejavu-core
DEBIAN_TESTS := chromium curl postgresql postgresql-15-postgis-3
DEBIAN_QGIS := python3-qgis

# The folders under the names that they have when installed, for tools that read sources.
AS_INSTALLED := @rm -rf .typing && mkdir -p .typing/candela && cd .typing/candela \
	  && ln -s ../../candela/* . && ln -s ../../services ../../client ../../wps_config .

.PHONY: help dev system test-system schemas demo serve test test-cluster test-extras test-geoserver test-qgis check docs \
  bench train images describe lock clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(STAMP): requirements.lock pyproject.toml setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	PYTHONWARNINGS=ignore $(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

dev: $(STAMP) ## Set up the virtual environment .venv with all that is pinned in requirements.lock

system: ## Install the Debian packages that are missing (root or sudo)
	@containers/install-debian $(DEBIAN)

test-system: system
	@containers/install-debian $(DEBIAN_TESTS)

schemas: ## Fetch the schemas of the OGC, which the tests check documents against
	@tests/support/fetch-schemas .cache/schemas

demo: dev system ## Run the whole pipeline on made-up scenes, or PRODUCTS="a.SAFE b.zip"
	@$(BIN)/candela demo $(PRODUCTS) --data $(DATA) $(if $(SIZE),--size $(SIZE))

serve: dev system ## Serve the gateway with the results in DATA (default: candela-data)
	@$(BIN)/candela serve --data $(DATA)

test: dev test-system schemas ## Run all tests in two processes; TESTS=tests/10_eo runs some, WORKERS=0 in this process
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile $(TESTS)

test-geoserver: dev ## Test a real GeoServer: URL=... USER=... PASSWORD_FILE=... [FOLDER=...]
	$(BIN)/python -m pytest -q tests/40_publish -k "real or recorded" --geoserver-url $(URL) \
	  --geoserver-user $(USER) --geoserver-password-file $(PASSWORD_FILE) \
	  $(if $(FOLDER),--geoserver-folder $(FOLDER)) $(MORE)

test-cluster: dev test-system ## Run the tests that need a Kubernetes
	@PYTHON=$(BIN)/python tests/run-in-cluster

test-extras: dev system ## Install a wheel with each extra alone and do there what the extra is for
	$(BIN)/python tests/install_extras.py

test-qgis: dev system ## Run the map services' tests in Debian's QGIS (installs 173 packages)
	@containers/install-debian $(DEBIAN_QGIS)
	$(BIN)/python -m pytest -q tests/40_publish/test_qgis.py

check: dev ## Check format, style, types and YAML, and that what is generated is up to date
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(AS_INSTALLED)
	$(BIN)/mypy .typing/candela
	$(BIN)/yamllint --strict .
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	$(BIN)/python -m pytest -q tests/00_tree

docs: dev ## Build the documentation as a site in build/site; broken links are errors
	$(AS_INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "build/site/index.html"

bench: dev system ## Run the benchmarks; docs/performance.md says what they measure
	$(BIN)/python -m benchmarks

train: dev ## Train an encoder of ChangeDetect: IMAGES=folder [NAME=balanced|visible|compact|spectral]
	$(BIN)/python -m candela.models.training --data $(IMAGES) --name $(NAME) \
	  --output $(OUTPUT)

images: dev ## Build the images of the gateway and of all processes (docker or buildah)
	@PYTHON=$(BIN)/python containers/build-images

describe: dev ## Write again what derives from process.yaml and settings: wps_config/describe, tables in docs
	$(BIN)/python -m candela.gateway.generate wps_config/describe docs

lock: dev ## Pin all dependencies again in requirements.lock (some minutes: hashes every wheel)
	$(BIN)/pip-compile --quiet --upgrade --generate-hashes --strip-extras \
	  --extra gateway --extra worker --extra train --extra clouds --extra notebook --extra docs --extra dev --allow-unsafe --no-header --no-emit-index-url --no-emit-trusted-host \
	  --no-emit-find-links --output-file requirements.lock pyproject.toml

clean: ## Remove what was built and installed here, but no data
	rm -rf $(VENV) .typing .mypy_cache .ruff_cache .pytest_cache build *.egg-info
