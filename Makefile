# Corpusmill. `make help` lists the targets; CI runs `make lint` and `make test` and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TORCH := torch==2.13.0

.DEFAULT_GOAL := help
.PHONY: help install tools demo test lint format dashboards screenshots nodes-test kill-test parity bench bench-dedup train-extractor bench-extraction replace-extraction results slow-test properties fuzz-api simulate-autoscale load images e2e-compose lock clean

help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-19s %s\n", $$1, $$2}'

# pip reads hashed locks; torch is pinned beside them, since its builds differ by machine.
$(VENV)/installed: requirements/dev.lock pyproject.toml Makefile
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.lock
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --require-hashes -r requirements/dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check $(TORCH)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

# Compiled loops are cached beside the sources: here once, not in each process of the first run.
$(VENV)/compiled: $(VENV)/installed
	$(BIN)/python -m shared.warming extraction langid quality dedup
	touch $@

# datatrove, which decisions and times are compared with, in an environment of its own.
.venv-bench/installed: requirements/bench.txt $(VENV)/installed
	$(PYTHON) -m venv --without-pip .venv-bench
	VIRTUAL_ENV=.venv-bench $(BIN)/uv pip install --quiet -r requirements/bench.txt
	touch $@

# Helm, Prometheus and a browser for the tests; what a machine cannot have, its tests name and skip.
.tools/fetched: scripts/tools.py requirements/tools.lock $(VENV)/installed
	$(BIN)/python -m scripts.tools $(if $(CORPUSMILL_REQUIRE_TOOLS),--require)
	touch $@

tools: .tools/fetched ## Fetch the programs that tests run: Helm, Prometheus, a browser

install: $(VENV)/installed ## Create the environment (.venv)

demo: install $(VENV)/compiled ## Archives to corpus to a small trained model, on the shipped sample
	$(BIN)/corpusmill demo

test: install $(VENV)/compiled .venv-bench/installed .tools/fetched ## The whole suite
	$(BIN)/pytest --numprocesses 2 --dist loadscope --no-loadscope-reorder

lint: install .tools/fetched ## Format check, linter, types, the Helm chart with both majors
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	for helm in .tools/bin/helm[34]; do test -x $$helm || continue; \
	  for values in helm/corpusmill/ci/*.yaml; do \
	    $$helm lint --strict --quiet helm/corpusmill --values $$values || exit 1; \
	  done; \
	done

dashboards: install ## Write Grafana's dashboards anew
	$(BIN)/python -m scripts.dashboards

screenshots: install $(VENV)/compiled .tools/fetched ## The dashboard's pictures in docs/images
	$(BIN)/python -m scripts.screenshots

format: install ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

nodes-test: install ## Training on several machines: lost, evicted and failing ones
	CORPUSMILL_NODES=1 $(BIN)/pytest tests/services/training/test_nodes.py

kill-test: install ## The kill test of the cluster, ten times in a row
	for i in 1 2 3 4 5 6 7 8 9 10; do CORPUSMILL_KILL_EVERY=1 $(BIN)/pytest -m kill tests/cluster || exit 1; done

parity: install .venv-bench/installed ## Every rule's decisions beside datatrove's; writes docs/parity.md
	$(BIN)/python -m scripts.parity.run

bench: install .venv-bench/installed ## Pages a second by stage beside datatrove; writes docs/benchmarks.md
	$(BIN)/python -m scripts.bench.run

bench-dedup: install .venv-bench/installed ## Deduplication: signatures, scale, peers, substrings; writes docs/benchmarks.md
	$(BIN)/python -m scripts.bench_dedup.run

train-extractor: install $(VENV)/compiled ## The model of the engine `blocks`, anew from ../shared/data: the same bytes
	$(BIN)/python -m scripts.extractor.train
	$(BIN)/python -m scripts.extractor.card

bench-extraction: install $(VENV)/compiled ## Extractors side by side: quality, cost, growth, memory; writes docs/extraction.md
	$(BIN)/python -m scripts.extractor.bench $(if $(wildcard blocks-cv.jsonl),--blocks-predictions blocks-cv.jsonl)

replace-extraction: install $(VENV)/compiled ## What changes in recipes with the engine `blocks`; writes docs/extraction.md
	$(BIN)/python -m scripts.extractor.replace

results: install ## Whole recipes on the open archives beside published rates; writes docs/results.md
	$(BIN)/python -m scripts.results.run

slow-test: install $(VENV)/compiled .venv-bench/installed ## Tests that the suite leaves out for their time
	$(BIN)/pytest -m slow

properties: install $(VENV)/compiled ## Every property on 1,000 examples where the suite takes 30
	CORPUSMILL_EXAMPLES=1000 $(BIN)/pytest -m hypothesis --timeout 1200 --numprocesses 2 --dist loadscope --no-loadscope-reorder

fuzz-api: install ## The REST API from its OpenAPI document, many requests
	CORPUSMILL_FUZZ_EXAMPLES=60 $(BIN)/pytest tests/services/gateway/test_api_fuzz.py --timeout 600

simulate-autoscale: install .tools/fetched ## A day of batches under three ways to scale; writes docs/autoscaling.md
	$(BIN)/python -m scripts.autoscale.run

images: install ## Build the images of all services (podman; a base by mmdebstrap where none can be pulled)
	$(BIN)/python -m scripts.images

e2e-compose: install .tools/fetched ## The sample through compose.yaml, workers dying in the middle; writes docs/compose.md
	$(BIN)/python -m scripts.e2e_compose.run

load: install $(VENV)/compiled ## A gateway under load, and a batch of 100,000 sources; writes docs/load.md
	$(BIN)/python -m scripts.load.run

lock: install ## Write the lock files anew
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header requirements/bootstrap.in -o requirements/bootstrap.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-package torch $(RUNTIME_EXTRAS) pyproject.toml -o requirements/runtime.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-package torch $(RUNTIME_EXTRAS) --extra dev -c requirements/runtime.lock pyproject.toml -o requirements/dev.lock
	for service in $(SERVICES); do \
	  $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --override requirements/no-torch.txt --extra $$service --extra tracing $$(test $$service != training || echo --extra kubernetes) -c requirements/dev.lock pyproject.toml -o requirements/services/$$service.lock || exit 1; \
	done

SERVICES := gateway extraction langid quality dedup export training
RUNTIME_EXTRAS := $(foreach e,gateway tracing kubernetes embedded extraction langid quality dedup export,--extra $(e))

clean: ## Remove what the targets made, but no data
	rm -rf $(VENV) .venv-bench .tools .mypy_cache .ruff_cache .pytest_cache *.egg-info
