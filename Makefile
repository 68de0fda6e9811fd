# make run    installs what is missing, compiles, and starts the exchange with a demo call
# make test   installs what tests need besides, and runs them
# See README.md. Works as root and with sudo; doing it twice does nothing twice.

SHELL := /bin/bash
PYTHON := /usr/bin/python3
VENV := .venv
BIN := $(VENV)/bin
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

# Debian 12 packages. The compiled modules are loaded by Kamailio's embedded Python, so they are
# built with Debian's own interpreter.
RUN_PACKAGES := kamailio kamailio-python3-modules kamailio-tls-modules kamailio-websocket-modules \
	kamailio-sqlite-modules rtpengine-daemon janus baresip-core openssl espeak-ng ffmpeg \
	libsofia-sip-ua-dev pkg-config python3-venv python3-dev gcc libc6-dev
TEST_PACKAGES := sip-tester procps iproute2

SOURCES := $(wildcard routing_core/*.pyx routing_core/*.pxd kemi/*.py benchmarks/*.pyx \
	callcontrol/sofia/*.pyx callcontrol/sofia/*.pxd)

.PHONY: run test fuzz bench lint install install-test build clean help

help:
	@sed -n '1,3s/^# //p' Makefile

run: install
	@$(BIN)/python -m vaxel run --demo

test: install-test
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile $(TESTS)

# FUZZ="--messages 20000 --seed 7" passes other arguments; FUZZ=--help tells which there are.
fuzz: install-test
	@$(BIN)/python -m tests.edge.attack.fuzz $(or $(FUZZ),--messages 1000000 --in-calls 100000 \
		--packets 100000)

bench: install-test
	@for name in $$($(BIN)/python -c "from benchmarks.__main__ import SUBJECTS; print(*SUBJECTS)"); do \
		echo "== $$name"; $(BIN)/python -m benchmarks $$name || exit 1; done

lint: install-test
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m mypy routing_core kemi rtp store callcontrol api vaxel benchmarks
	@$(BIN)/cython-lint routing_core callcontrol benchmarks

install: $(VENV)/.packages $(VENV)/.python build

install-test: $(VENV)/.test-packages install $(VENV)/.test-python

build: $(VENV)/.built

$(VENV)/.packages: Makefile
	@$(call packages,$(RUN_PACKAGES))
	@[ -x $(BIN)/python ] || { echo "== Python environment"; $(PYTHON) -m venv $(VENV); }
	@touch $@

$(VENV)/.test-packages: Makefile | $(VENV)/.packages
	@$(call packages,$(TEST_PACKAGES))
	@touch $@

$(VENV)/.python: pyproject.toml | $(VENV)/.packages
	@echo "== Python packages"
	@$(BIN)/python -m pip install --disable-pip-version-check --progress-bar on -q \
		"setuptools>=77" "cython==3.3.1" $$($(PYTHON) -c "import tomllib; \
		print(' '.join(tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies']))")
	@touch $@

$(VENV)/.test-python: pyproject.toml | $(VENV)/.python
	@echo "== Python packages for tests"
	@$(BIN)/python -m pip install --disable-pip-version-check --progress-bar on -q \
		$$($(PYTHON) -c "import tomllib; \
		print(' '.join(tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']['test']))")
	@touch $@

$(VENV)/.built: setup.py $(SOURCES) | $(VENV)/.python
	@echo "== compiling the kernel and the edge"
	@$(BIN)/python setup.py -q build_ext --inplace -j2
	@printf '#!/bin/sh\nPYTHONPATH="%s" exec "%s/$(BIN)/python" -m vaxel "$$@"\n' "$(CURDIR)" "$(CURDIR)" \
		> $(BIN)/vaxel && chmod +x $(BIN)/vaxel
	@touch $@

clean:
	rm -rf build $(VENV) routing_core/*.c routing_core/*.so kemi/*.c kemi/*.so benchmarks/*.c benchmarks/*.so \
		callcontrol/sofia/*.c callcontrol/sofia/*.so

define packages
missing=""; for p in $(1); do dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' \
	|| missing="$$missing $$p"; done; \
if [ -n "$$missing" ]; then \
	command -v apt-get >/dev/null || { echo "This needs Debian 12 (apt-get); missing:$$missing"; exit 1; }; \
	[ -z "$(SUDO)" ] || command -v sudo >/dev/null || { echo "Run as root, or install sudo. Missing:$$missing"; exit 1; }; \
	echo "== Debian packages:$$missing"; \
	$(SUDO) apt-get update -q && \
	$(SUDO) env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -q --no-install-recommends $$missing || exit 1; \
	[ ! -d /run/systemd/system ] || $(SUDO) systemctl disable -q --now kamailio rtpengine-daemon janus || true; \
fi
endef
