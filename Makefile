# make setup       create .venv with everything pinned in constraints.txt
# make demo        the main job on the sample data: extract, train, evaluate; about five minutes on two recent cores
# make check       format, lint, types, import direction (each is a target of its own)
# make test        check, then every test that is not slow
# make test-slow   the slow tests
# make measures    what the tree looks like: lines, files, circles, long functions, and what a command goes through
# make docs        the documentation as a site in site/
# make pictures    the documentation's pictures, of what `make demo` made; some minutes
# make bench       the benchmarks of training, into benchmarks/RESULTS.md; half an hour, 37 GB of disk, with READ_VIDEOS=20000 5 GB
# make bench-quick the same with small sizes, printed only: do they run? some minutes
# make bench-gpu   training, decoding, image tower and two processes on the CUDA devices, into benchmarks/RESULTS.md; one sentence where there is none
# make clean       remove what `make demo` and `make docs` wrote

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO := demo

# More options for pip. On Linux PyPI's torch brings CUDA; a machine without an NVIDIA GPU can do with PyTorch's CPU build:
#   make setup PIP_OPTIONS="--extra-index-url https://download.pytorch.org/whl/cpu"
PIP_OPTIONS ?=

# Where the benchmarks keep their stores, and the videos of the one that is read.
BENCH_WORK ?= /tmp/optsg-benchmark
READ_VIDEOS ?= 200000

.DEFAULT_GOAL := help
.PHONY: help setup demo check format lint types imports docs pictures test test-slow measures bench bench-quick bench-gpu clean

help:
	@sed -n 's/^# make/make/p' Makefile

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || \
		{ echo "error: 'make setup' needs Python 3.11 or newer, $$($(PYTHON) --version) found; try 'make setup PYTHON=python3.11'"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt pip setuptools
	$(BIN)/python -m pip install -c constraints.txt --no-deps $(PIP_OPTIONS) torch torchvision
	$(BIN)/python -m pip install -c constraints.txt $(PIP_OPTIONS) --no-build-isolation -e '.[small,ray,serve,onnx,dev]'
	touch $(READY)

demo: $(READY)
	$(BIN)/optsg-extract data/sample --out $(DEMO)/feats.h5 --preset small
	rm -rf $(DEMO)/run
	$(BIN)/optsg-train --feats $(DEMO)/feats.h5 --run $(DEMO)/run
	$(BIN)/optsg-eval --run $(DEMO)/run --split test
	@echo
	@echo "Report:      $(CURDIR)/$(DEMO)/run/eval/test/report.html"
	@echo "Metrics:     $(CURDIR)/$(DEMO)/run/eval/test/metrics.json"
	@echo "Predictions: $(CURDIR)/$(DEMO)/run/eval/test/predictions.jsonl"

check: format lint types imports

format: $(READY)
	$(BIN)/ruff format --check

lint: $(READY)
	$(BIN)/ruff check

types: $(READY)
	$(BIN)/mypy

imports: $(READY)
	$(BIN)/lint-imports --no-logo

# Fails on any warning: a dead link, an argument that a docstring names and a function lacks.
docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

# Evidence is part of a report only where it was asked for.
pictures: $(READY)
	$(BIN)/optsg-eval --run $(DEMO)/run --split test --evidence --inputs data/sample --quiet
	$(BIN)/python docs/pictures/make.py --run $(DEMO)/run --feats $(DEMO)/feats.h5 --inputs data/sample

test: check docs
	$(BIN)/pytest -m "not slow" -n auto --dist loadfile

test-slow: $(READY)
	$(BIN)/pytest -m slow

measures: $(READY)
	$(BIN)/python -W ignore tests/measure_tree.py

bench: $(READY)
	$(BIN)/python benchmarks/matching.py --work $(BENCH_WORK) --write
	$(BIN)/python benchmarks/decoding.py --work $(BENCH_WORK) --write
	$(BIN)/python benchmarks/training_step.py --work $(BENCH_WORK) --write
	$(BIN)/python benchmarks/host_bound.py --work $(BENCH_WORK) --write
	$(BIN)/python benchmarks/scaling.py --work $(BENCH_WORK) --write
	$(BIN)/python benchmarks/read_features.py --work $(BENCH_WORK) --videos $(READ_VIDEOS) --write
	$(BIN)/python benchmarks/many_videos.py --work $(BENCH_WORK) --write

QUICK := --work $(BENCH_WORK) --repetitions 2
QUICK_MODEL := --videos 500 --sizes small --set width=96 --set heads=2

bench-quick: $(READY)
	$(BIN)/python benchmarks/matching.py $(QUICK)
	$(BIN)/python benchmarks/decoding.py $(QUICK) $(QUICK_MODEL) --batch-size 8
	$(BIN)/python benchmarks/training_step.py $(QUICK) $(QUICK_MODEL) --batch-size 8
	$(BIN)/python benchmarks/host_bound.py $(QUICK) --videos 500
	$(BIN)/python benchmarks/scaling.py $(QUICK) --videos 100 --frames 10 --width 64 --factors 1 4
	$(BIN)/python benchmarks/read_features.py $(QUICK) --videos 2000 --batches 20 --workers 0 1
	$(BIN)/python benchmarks/many_videos.py --work $(BENCH_WORK) --videos 1000 3000

bench-gpu: $(READY)
	$(BIN)/python benchmarks/gpu.py --work $(BENCH_WORK) --write

clean:
	rm -rf $(DEMO) site
