# `make demo` shows it, `make run` stays, `make test` proves it. All they need is Python ≥ 3.11.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DRAWS := $(VENV)/.draws
# Every package with its hashes, for all systems and Python 3.11 and newer.
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-strip-extras --annotation-style line --custom-compile-command "make requirements" \
	$(if $(NEWER),$(if $(filter all,$(NEWER)),--upgrade,--upgrade-package $(NEWER)))

.PHONY: demo run bench load smoke proof simulate pictures test thorough check audit unit format hooks requirements clean help

demo: $(READY) ## play the request's test cases on the local stack and print what came when
	@$(BIN)/python -m infra.local demo

run: $(READY) ## start the local stack and stay; PORT=… for another port than 8080, HOST=0.0.0.0 for your network's phones
	@$(BIN)/python -m infra.local $(if $(PORT),--port $(PORT)) $(if $(HOST),--host $(HOST))

bench: $(DRAWS) ## measure what a cancel costs beside the server it replaces, and draw it; QUICK=1 in a minute
	@$(BIN)/python -m infra.bench $(if $(QUICK),--quick)

load: $(READY) ## send more cancels than this machine can carry out, and print what becomes of them; two minutes
	@$(BIN)/python -m infra.local load

smoke: $(READY) ## run the smoke test of a deployment on the local stack
	@$(BIN)/python -m infra.local smoke

proof: $(READY) ## break everything in every way and print what came of it; ONLY=… for a part, SEED=… of bad input
	@$(BIN)/python -m tests.proof $(if $(ONLY),--only $(ONLY)) $(if $(SEED),--seed $(SEED))

simulate: $(READY) ## play the system in memory for a minute; SEED=… replays one schedule, MINUTES=… plays longer
	@$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED)) $(if $(SEED)$(MINUTES),,--minutes 1) $(if $(MINUTES),--minutes $(MINUTES))

pictures: $(READY) ## take the documentation's pictures of the console, in Chromium
	@$(BIN)/python -m tests.console.page.pictures

test: check ## all checks, and the tests
	@$(BIN)/python -m pytest --numprocesses auto --no-loadscope-reorder -m "not thorough" --cov --cov-context=test --cov-report=
	@$(BIN)/python -m tests.covered

thorough: $(READY) ## the tests that take long for what they add, and more examples of others
	@UNRING_THOROUGH=1 $(BIN)/python -m pytest --numprocesses auto --no-loadscope-reorder -m "thorough or examples"

check: $(READY) ## lint, format and types
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

audit: $(READY) ## what the functions consist of, into .unring/sbom.json; fails if any has a known vulnerability
	@mkdir -p .unring
	@$(BIN)/pip-audit --require-hashes --disable-pip --progress-spinner off --requirement requirements.txt \
		--format cyclonedx-json --output .unring/sbom.json

unit: $(READY) ## the tests that take seconds
	@$(BIN)/python -m pytest tests/unit

format: $(READY) ## put the code into its format
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

hooks: $(READY) ## have git do what `make check` does before each commit
	@$(BIN)/pre-commit install

# A package keeps its version unless pyproject.toml asks for another one, or NEWER names it.
requirements: $(READY) ## write requirements*.txt as pyproject.toml asks; NEWER=… for a newer version of a package, or of all
	@$(COMPILE) pyproject.toml --output-file requirements.txt
	@$(COMPILE) pyproject.toml --output-file requirements-dev.txt --group dev --constraints requirements.txt
	@$(COMPILE) --group bench --output-file requirements-bench.txt --constraints requirements-dev.txt

help: ## list what there is to make
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1	\2/p' Makefile

clean: ## remove what make made
	rm -rf $(VENV) .coverage .node .unring .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(READY): requirements.txt requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Unring needs Python 3.11 or newer; set PYTHON=… to one.")'
	@echo "Setting up $(VENV), which takes a minute the first time …"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $(READY)

$(DRAWS): $(READY) requirements-bench.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.txt
	@touch $(DRAWS)
