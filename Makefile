# Everything starts here: `make demo` shows the whole cycle, `make check` and `make test` hold the house.
#
#   make demo INDEX=https://packages.example/simple     another package index (a company's mirror)
#   make demo TORCH_INDEX=                              take torch from that index too (on Linux that is the GPU build)

PYTHON ?= python3
VENV ?= .venv
INDEX ?=
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
DEMO ?= demo
MINUTES ?= 60
EXAMPLES ?= 1000
# A test process for each core. The tests of a file stay in one of them, as its fixtures train models; files start in
# the order of their names, so that the journeys, which take longest, are not what all wait for at the end.
WORKERS ?= -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

PIP = $(VENV)/bin/python -m pip --disable-pip-version-check
FROM = $(if $(INDEX),--index-url $(INDEX))
ifneq ($(INDEX),)
export INHOUSE_INDEX_URL := $(INDEX)
endif

.PHONY: demo install check lint types layers unit test fuzz fuzz-api bench bench-train bench-encoder bench-data bench-evaluate bench-serve bench-tasks soak example clean

demo: install
	$(VENV)/bin/python examples/ledger/demo.py $(DEMO)

install: $(VENV)/installed

# torch first and alone: the CPU build, and nothing else may pull in another one later. An index that does not answer is
# passed over at once, and torch comes from the main index. The last 1.x of OpenAI's client, which users have too, lies
# in a folder of its own, as a process can load one only.
$(VENV)/installed: pyproject.toml constraints.txt tests/openai1.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --retries 1 --timeout 60 $(FROM) $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) -c constraints.txt torch
	$(PIP) install --quiet $(FROM) -c constraints.txt -e ".[all,dev]"
	$(PIP) install --quiet $(FROM) --no-deps --upgrade --target $(VENV)/openai1 -r tests/openai1.txt
	touch $@

check: lint types layers unit

lint: install
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: install
	$(VENV)/bin/mypy

layers: install
	$(VENV)/bin/lint-imports

unit: install
	$(VENV)/bin/pytest $(WORKERS) tests/unit

test: install
	$(VENV)/bin/pytest $(WORKERS) --durations=40

# Breaks good files and documents of every format for MINUTES, and reads them: rows, a text or an error of ours.
fuzz: install
	PYTHONPATH=tests $(VENV)/bin/python -m fuzz.sources $(MINUTES)

# Thousands of requests made of the OpenAPI document, right and wrong ones, to a server of the tiny model; the tests send a
# few of them.
fuzz-api: install
	FUZZ_EXAMPLES=$(EXAMPLES) $(VENV)/bin/pytest tests/unit/test_api_fuzz.py

bench: install
	$(VENV)/bin/python benchmarks/journey.py

# Installs TRL beside the project; SHORT and LONG are other files to measure on, see benchmarks/train.py.
bench-train: install
	$(PIP) install --quiet $(FROM) -c constraints.txt -e ".[bench]"
	$(VENV)/bin/python benchmarks/train.py $(if $(SHORT),--short $(SHORT)) $(if $(LONG),--long $(LONG))

# Reads the data sets of DATA (../shared/data), which are no part of the project; CASES are some of it, all without.
bench-encoder: install
	$(VENV)/bin/python benchmarks/encoder.py $(CASES)

# As above: each data set through `run`; CASES may also be examples, whose table in examples/README.md it writes.
bench-evaluate: install
	$(VENV)/bin/python benchmarks/evaluate.py $(CASES)

# Reads DATA too, with PARTS; installs datasketch and semhash beside the project, to be compared with.
bench-data: install
	$(PIP) install --quiet $(FROM) -c constraints.txt -e ".[bench]"
	$(VENV)/bin/python benchmarks/data.py $(PARTS)

# Reads DATA, trains small models once into BENCH_SERVE (~/.cache/inhouse/bench-serve), then measures for half an hour;
# OPTIONS="--seconds 5 --rounds 1" is a short pass. Needs wrk: apt-get install wrk.
bench-serve: install
	$(VENV)/bin/python benchmarks/serve_models.py
	$(VENV)/bin/python benchmarks/serve.py $(OPTIONS)

# With the same models: 64 clients for MINUTES; fails on an error, a missing Trace, or memory that grows by over 5 %.
soak: install
	$(VENV)/bin/python benchmarks/serve_soak.py --minutes $(MINUTES)

# Twenty tasks with a model each, more than fit: memory, and how long the first answer takes.
bench-tasks: install
	$(VENV)/bin/python benchmarks/serve_tasks.py

# Writes the examples' data and key files anew (they are committed; the result is the same byte for byte).
example: install
	$(PYTHON) examples/ledger/generate.py
	$(VENV)/bin/python examples/invoices/generate.py
	$(VENV)/bin/python examples/cv/generate.py
	$(PYTHON) examples/customs/generate.py
	$(PYTHON) examples/production/generate.py
	$(PYTHON) examples/replies/generate.py

clean:
	rm -rf $(VENV) $(DEMO) build dist src/*.egg-info
