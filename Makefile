# What people type and what CI runs. `make` alone lists it.
#
# Everything is installed into $(VENV); a file .made-* in there says for what, so that a second
# run is quick. Remove the folder to start anew.

SHELL  := /bin/bash
PYTHON ?= python3
VENV   ?= .venv
PORT   ?= 5001
ROUNDS ?= 10

BIN     := $(abspath $(VENV))/bin
PACKAGE := pyproject.toml $(wildcard tools/*.py)
NEEDED  := $(wildcard examples/*/requirements.txt)

# Four at a time, each file in one process, the longest first: most tests wait for a server, so two
# cores are enough. Those that hold a clock to a bar run alone, after the others; pytest's status 5
# says that TESTS has none of a kind.
PARALLEL ?= -n 4 --dist loadfile --no-loadscope-reorder

# What the packages that scorehost runs on have a part in; the pause of 90 seconds is not one.
OLDEST ?= tests/unit tests/front tests/hostile tests/http tests/live/test_debugger.py \
  --deselect=tests/live/test_debugger.py::test_nothing_dies_at_a_breakpoint

# Programs from outside Python, by Debian's names; .ci/needs installs what is missing.
TEST_PROGRAMS  := curl chromium openssl
BENCH_PROGRAMS := wrk

# What a script's interpreter does with JSON, where it has no orjson.
WITHOUT_ORJSON := $(addprefix tests/unit/test_,encoding.py decoding.py output.py pipeline.py describe.py)

# The oldest Python of scripts, and the last mypy that knows it.
SCRIPTS_OLDEST := 3.8
MYPY_FOR_IT    := mypy==1.14.1

# Where every measured process leaves its data; named in pyproject.toml too.
COVERAGE := build/coverage

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo lint type test pythons oldest coverage images bench bench-peers load docs format clean

help: ## This list
	@echo 'make …'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo 'Variables: PYTHON=$(PYTHON)  VENV=$(VENV)  PORT=$(PORT)  ROUNDS=$(ROUNDS)  URL=http://…  TESTS="tests/unit -k name"'

demo: examples/diabetes/azureml-models ## Train examples/diabetes, serve it on PORT and say how to call it
	@$(BIN)/python examples/demo.py --port $(PORT)

lint: $(VENV)/.made-dev ## Style and likely mistakes (ruff)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

type: $(VENV)/.made-dev $(VENV)-mypy/.made ## Types (mypy, strict); what runs beside scripts also for their oldest Python
	$(BIN)/mypy
	@$(VENV)-mypy/bin/mypy --config-file= --python-version $(SCRIPTS_OLDEST) --no-site-packages \
	  --ignore-missing-imports --follow-imports=silent $$($(BIN)/python tools/worker_side.py)

test: $(VENV)/.made-dev $(VENV)-pythons ## Every test; installs what they need, names what it can't (TESTS= for some)
	@.ci/needs $(TEST_PROGRAMS)
	@failed=0; \
	$(BIN)/python -m pytest $(PARALLEL) -m 'not clock' $(TESTS) || [ $$? -eq 5 ] || failed=1; \
	$(BIN)/python -m pytest -m clock $(TESTS) || [ $$? -eq 5 ] || failed=1; \
	exit $$failed

pythons: $(VENV)/.made-dev $(VENV)-pythons ## The contract with scripts in the oldest and the newest Python here, and without orjson
	@for which in oldest newest; do \
	  python=$$(cd tests && $(BIN)/python -m support.pythons $$which); \
	  [ -n "$$python" ] || { echo "There is no other Python here, so no $$which."; continue; }; \
	  echo "Scripts in $$python:"; \
	  SCRIPTS_PYTHON=$$python $(BIN)/python -m pytest $(PARALLEL) -m 'not clock' tests/http || exit 1; \
	done
	$(BIN)/python -m pytest $(PARALLEL) -p support.without_orjson $(WITHOUT_ORJSON)

oldest: $(VENV)-oldest/.made-test ## The built wheel with the oldest packages that pyproject.toml allows
	@.ci/needs $(TEST_PROGRAMS)
	@$(<D)/bin/python -m pytest $(PARALLEL) -m 'not clock' $(if $(TESTS),$(TESTS),$(OLDEST))

coverage: $(VENV)/.made-dev $(VENV)-pythons ## Lines that the tests run, in servers and workers too, held to floors
	@.ci/needs $(TEST_PROGRAMS)
	@rm -rf $(COVERAGE) && mkdir -p $(COVERAGE)
	$(BIN)/coverage run -m pytest $(PARALLEL) -m 'not clock' $(TESTS)
	@$(BIN)/coverage combine --quiet
	@rm -f $(COVERAGE)/data.* # what a process that was killed had begun to write
	@failed=0; \
	$(BIN)/coverage report --fail-under=90 || failed=1; \
	for part in front scoring wire; do \
	  echo "$$part/, at least 95 %:"; \
	  $(BIN)/coverage report --include="runtime/scorehost/$$part/*" --format=total --fail-under=95 || failed=1; \
	done; \
	exit $$failed

images: $(VENV)/.made-dev ## Build the base images, in order; needs docker or podman (IMAGES= for others)
	$(BIN)/python base-images/build.py $(IMAGES)

bench: $(VENV)/.made-dev ## How fast it is here, in about a minute
	@.ci/needs $(BENCH_PROGRAMS)
	$(BIN)/python benchmarks/quick.py

bench-peers: $(VENV)/.made-dev ## The same beside other servers, each installed for it; half an hour (ROUNDS=)
	@.ci/needs $(BENCH_PROGRAMS)
	$(BIN)/python benchmarks/against_peers.py --rounds $(ROUNDS)

load: $(VENV)/.made-load ## The highest rate within a latency limit, by locust (URL= for a server that runs)
	$(BIN)/python benchmarks/load.py $(if $(URL),--host $(URL))

docs: $(VENV)/.made-dev ## Write what is generated, then check every link and run every block
	$(BIN)/scorehost config --markdown > docs/configuration.md
	@.ci/needs $(TEST_PROGRAMS)
	$(BIN)/python -m pytest tests/docs

format: $(VENV)/.made-dev ## Let ruff mend what it can
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

clean: ## Remove what was made, but not VENV
	rm -rf build dist runtime/*.egg-info examples/*/azureml-models .*_cache .hypothesis
	find runtime tests examples benchmarks -name __pycache__ -prune -exec rm -rf {} +

# -- What the targets above need ------------------------------------------------------------

examples/diabetes/azureml-models: examples/diabetes/train.py $(VENV)/.made-demo
	cd $(@D) && $(BIN)/python train.py
	@touch $@

$(VENV)/.made-demo: $(PACKAGE) examples/diabetes/requirements.txt | $(VENV)/.made-venv
	@echo 'Installing scorehost and scikit-learn into $(VENV) …'
	@$(BIN)/python -m pip install --quiet --editable . --requirement examples/diabetes/requirements.txt
	@touch $@

$(VENV)/.made-dev: $(PACKAGE) $(NEEDED) | $(VENV)/.made-venv
	@echo 'Installing scorehost and what its tests and examples need into $(VENV) …'
	@$(BIN)/python -m pip install --quiet --editable '.[dev]' $(addprefix --requirement ,$(NEEDED))
	@touch $@

# The oldest of what scorehost names itself, the newest of all else that goes with it; no --editable.
# uv trusts the certificates that the system trusts, as pip does.
$(VENV)-oldest/.made-test: export UV_SYSTEM_CERTS := true
$(VENV)-oldest/.made-test: $(PACKAGE) $(NEEDED) $(shell find runtime -name '*.py') | $(VENV)/.made-dev
	@echo 'Building the wheel and installing it with its oldest packages into $(@D) …'
	@rm -rf build # setuptools would pack what an earlier build left there
	@$(PYTHON) -m venv --clear $(@D)
	@$(BIN)/uv pip compile --quiet --python $(@D)/bin/python --resolution lowest-direct --only-binary :all: \
	  --extra all --output-file $(@D)/oldest.txt pyproject.toml
	@$(BIN)/uv pip install --quiet --python $(@D)/bin/python --constraints $(@D)/oldest.txt \
	  '.[test]' $(addprefix --requirements ,$(NEEDED))
	@touch $@

# Made anew only where something has changed, which the program finds out by itself.
.PHONY: $(VENV)-pythons
$(VENV)-pythons: $(VENV)/.made-dev
	@.ci/python-3.14
	@cd tests && $(BIN)/python -m support.pythons

$(VENV)-mypy/.made: | $(VENV)/.made-venv
	@$(PYTHON) -m venv --clear $(@D)
	@$(@D)/bin/python -m pip install --quiet '$(MYPY_FOR_IT)'
	@touch $@

$(VENV)/.made-load: $(VENV)/.made-dev
	@$(BIN)/python -m pip install --quiet --editable '.[load]'
	@touch $@

$(VENV)/.made-venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo 'scorehost needs Python 3.10 or later, and $(PYTHON) is not.'; \
	  echo 'Name another: make PYTHON=python3.12'; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo '$(PYTHON) has no venv. On Debian and Ubuntu: apt-get install python3-venv'; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --upgrade pip
	@touch $@
