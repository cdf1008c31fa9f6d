# The commands of README.md. Each is safe to repeat.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
KAFKA_PORT ?= 9092
BROKERS ?= 1

.PHONY: install demo test check unit kafka kafka-stop bench simulate-faults chaos fuzz clean

install: $(STAMP)

$(STAMP): pyproject.toml clients/python/pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e clients/python -e '.[dev]'
	touch $(STAMP)

demo: install
	$(BIN)/serinus demo

# Everything that CI runs, on a real Kafka that it starts and stops itself.
test: install check
	$(BIN)/pytest $(PYTEST_ARGS)

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/serinus schemas --check

# The fast tests, without Kafka.
unit: install
	$(BIN)/pytest -m 'not kafka and not slow' $(PYTEST_ARGS)

kafka:
	$(PYTHON) deploy/kafka/local.py start --detach --brokers $(BROKERS) --port $(KAFKA_PORT)

kafka-stop:
	$(PYTHON) deploy/kafka/local.py stop --port $(KAFKA_PORT)

bench: install
	$(BIN)/python -m bench $(BENCH_ARGS)

# Ten thousand schedules of faults; after a break, `FIRST=4000` goes on with that seed.
FIRST ?= 0
SEEDS ?= 10000
simulate-faults: install
	$(BIN)/python -m tests.simulator --first $(FIRST) --seeds $(SEEDS)

# Kills and stops brokers, ingests and workers under load, and counts; a short version of it is part of `make test`.
FAULTS ?= 50
OUTAGE_S ?= 60
chaos: install
	CHAOS_FAULTS=$(FAULTS) OUTAGE_S=$(OUTAGE_S) SLOW_S=$(OUTAGE_S) $(BIN)/pytest -s tests/chaos $(PYTEST_ARGS)

# A million records for every topic that is read, a million invented names of each kind, and HTTP against its document.
RECORDS ?= 1000000
fuzz: install
	$(BIN)/python -m tests.fuzz --records $(RECORDS)
	HOSTILE_EVENTS=$(RECORDS) $(BIN)/pytest tests/fuzz/test_hostile_names.py -o timeout=0 $(PYTEST_ARGS)
	$(BIN)/python -m tests.fuzz.http

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache

# Take the newest versions that fit pyproject.toml into constraints.txt; test before you commit them.
.PHONY: lock
lock:
	rm -rf $(VENV)/lock && $(PYTHON) -m venv $(VENV)/lock
	$(VENV)/lock/bin/pip install -q --disable-pip-version-check hatchling editables -e clients/python -e '.[dev]'
	sed -n '/^#/p' constraints.txt > $(VENV)/constraints.new
	$(VENV)/lock/bin/pip freeze --exclude-editable >> $(VENV)/constraints.new
	mv $(VENV)/constraints.new constraints.txt
	rm -rf $(VENV)/lock
