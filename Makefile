# What there is to do with httpd-semguard. `make help` lists it.

PREFIX ?= /usr/local
SBINDIR ?= $(PREFIX)/sbin
MANDIR ?= $(PREFIX)/share/man
DESTDIR ?=
CARGO ?= cargo
INSTALL ?= install
# Set to 1, nothing that a test needs may be missing: a test that cannot run fails.
REQUIRE_ALL ?=
export REQUIRE_ALL

target = $(or $(CARGO_TARGET_DIR),target)

.PHONY: build demo check torture install clean help

build: ## build the program (target/release/httpd-semguard)
	$(CARGO) build --release --locked

demo: ## replay an outage and its end, in namespaces of its own; no rights needed
	@tests/demo.sh

check: ## run all tests; as root, install the Debian packages that they use
	@tests/setup.sh || [ "$$REQUIRE_ALL" != 1 ]
	$(CARGO) test --locked

RUNS ?= 20000
SEED ?=
torture: ## run random worlds with RUNS=20000 guard runs (SEED= repeats one); root
	MODEL_RUNS=$(RUNS) MODEL_SEED=$(SEED) REQUIRE_ALL=1 $(CARGO) test --locked --test model no_history

# Builds nothing, so that "make build && sudo make install" works where root has no Rust.
install: ## install program and manual page (DESTDIR=, PREFIX=/usr/local); build first
	@test -e $(target)/release/httpd-semguard || { echo "make install: run make build first" >&2; exit 1; }
	$(INSTALL) -D -m 755 $(target)/release/httpd-semguard $(DESTDIR)$(SBINDIR)/httpd-semguard
	$(INSTALL) -D -m 644 man/httpd-semguard.8 $(DESTDIR)$(MANDIR)/man8/httpd-semguard.8

.PHONY: fuzz deny

FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?= $(basename $(notdir $(wildcard fuzz/fuzz_targets/*.rs)))
fuzz: ## run each fuzz target for FUZZ_SECONDS=60; needs nightly Rust and cargo-fuzz
	@for target in $(FUZZ_TARGETS); do \
	    mkdir -p fuzz/corpus/$$target tests/corpus/$$target && \
	    $(CARGO) +nightly fuzz run $$target fuzz/corpus/$$target tests/corpus/$$target tests/dumps \
	        -- -max_total_time=$(FUZZ_SECONDS) -timeout=10 || exit 1; \
	done

deny: ## hold licences, advisories and sources to deny.toml; needs cargo-deny and a network
	$(CARGO) deny --locked check

clean: ## remove what was built
	$(CARGO) clean

help: ## show this
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-16s%s\n", $$1, $$2 }'
