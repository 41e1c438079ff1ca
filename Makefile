# What a developer does with Flambeau: make demo, test, lint, bench, parity.
# Only Python >= 3.10 and a C++ compiler must be there; the rest comes into .venv from PyPI.

PYTHON ?= python3
VENV ?= .venv
BENCH_VENV ?= .venv-bench
EPOCHS ?= 1
WORKERS ?= 2
TORCH ?= torch==2.13.0
# e.g. TORCH_PIP_ARGS="--index-url ..." to take a CPU-only build of PyTorch
TORCH_PIP_ARGS ?=
PYTEST_ARGS ?=

PY := $(VENV)/bin/python
BENCH_PY := $(BENCH_VENV)/bin/python
BUILD_TOOLS := "scikit-build-core>=0.10" "cmake>=3.20" "ninja>=1.10"
SOURCES := pyproject.toml $(wildcard CMakeLists.txt) $(shell find src csrc cmake -type f \
	-not -name '*.so' -not -path '*/__pycache__/*' 2>/dev/null)
CPP := $(shell find csrc tests/cpp tests/cudasim benchmarks -name '*.cpp' -o -name '*.h' 2>/dev/null)

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test test-python test-cpp test-cuda lint format bench bench-check parity sanitize stubs wheel clean

demo: $(VENV)/.installed-demo
	$(PY) examples/mnist.py --epochs $(EPOCHS)

test: test-cpp test-python test-cuda

test-python: $(VENV)/.installed-test
	$(PY) -m pytest -n $(WORKERS) --dist worksteal -m "not cuda" $(PYTEST_ARGS)

# The GPU tests on the simulated driver: real kernels, compiled by the real NVRTC, run on the CPU.
test-cuda: $(VENV)/.installed-test
	FLAMBEAU_CUDA_LIBS="$$($(PY) tests/cudasim/build.py)" FLAMBEAU_CUDA_JIT=ptx CUDASIM_DEVICES=2 \
	FLAMBEAU_CACHE_DIR=$(abspath build/cuda-cache) \
	$(PY) -m pytest -n $(WORKERS) --dist worksteal -m cuda $(PYTEST_ARGS)

test-cpp: $(VENV)/.tools
	VENV=$(VENV) bash scripts/cpp_tests.sh

sanitize: $(VENV)/.tools
	VENV=$(VENV) SANITIZE=1 bash scripts/cpp_tests.sh

lint: $(VENV)/.installed-lint
	$(VENV)/bin/ruff check --quiet .
	$(VENV)/bin/ruff format --check --quiet .
	@test -z "$(CPP)" || $(VENV)/bin/clang-format --dry-run -Werror $(CPP)
	$(PY) scripts/make_stubs.py --check
	@echo "lint: clean"

format: $(VENV)/.installed-lint
	$(VENV)/bin/ruff check --fix --quiet . || true
	$(VENV)/bin/ruff format --quiet .
	@test -z "$(CPP)" || $(VENV)/bin/clang-format -i $(CPP)

stubs: $(VENV)/.installed-lint
	$(PY) scripts/make_stubs.py

bench: $(BENCH_VENV)/.installed
	$(BENCH_PY) benchmarks/bench.py --write benchmarks/RESULTS.md

# Fails when a case is slower than its recorded floor; needs NumPy, not PyTorch.
bench-check: $(VENV)/.installed-test
	$(PY) benchmarks/check.py

parity: $(BENCH_VENV)/.installed
	$(BENCH_PY) parity/run.py --write docs/parity.md

wheel: $(VENV)/.tools
	$(PY) -m pip wheel --quiet --no-deps --no-build-isolation -w dist .

clean:
	rm -rf build dist $(VENV) $(BENCH_VENV) .pytest_cache .ruff_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The build tools live in the venv, at paths that stay: each build is then an incremental one.
$(VENV)/.tools: pyproject.toml
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet $(BUILD_TOOLS)
	@touch $@

$(VENV)/.installed-demo: $(VENV)/.tools $(SOURCES)
	PATH="$(abspath $(VENV)/bin):$$PATH" $(PY) -m pip install --quiet --no-build-isolation ".[demo]"
	@touch $@

$(VENV)/.installed-test: $(VENV)/.tools $(SOURCES)
	PATH="$(abspath $(VENV)/bin):$$PATH" $(PY) -m pip install --quiet --no-build-isolation ".[test]"
	@touch $@

$(VENV)/.installed-lint: $(VENV)/.tools $(SOURCES)
	PATH="$(abspath $(VENV)/bin):$$PATH" $(PY) -m pip install --quiet --no-build-isolation ".[lint]"
	@touch $@

$(BENCH_VENV)/.installed: $(VENV)/.tools $(SOURCES)
	test -x $(BENCH_PY) || $(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_PY) -m pip install --quiet $(BUILD_TOOLS)
	$(BENCH_PY) -m pip install --quiet $(TORCH_PIP_ARGS) $(TORCH)
	$(BENCH_PY) -m pip install --quiet expecttest pytest hypothesis jax
	PATH="$(abspath $(BENCH_VENV)/bin):$$PATH" $(BENCH_PY) -m pip install --quiet --no-build-isolation ".[demo]"
	@touch $@
