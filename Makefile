# What there is to do with httpd-semguard. `make help` lists it.

# Where things go; packagers: PREFIX=/usr DESTDIR=… and what differs (packaging/README.md).
PREFIX ?= /usr/local
SBINDIR ?= $(PREFIX)/sbin
LIBEXECDIR ?= $(PREFIX)/libexec
DATADIR ?= $(PREFIX)/share
MANDIR ?= $(DATADIR)/man
DOCDIR ?= $(DATADIR)/doc/httpd-semguard
UNITDIR ?= $(PREFIX)/lib/systemd/system
SETTINGS ?= /etc/default/httpd-semguard
# Where the metrics go, when their timer is switched on: node_exporter's directory for text files.
METRICS ?= /var/lib/prometheus/node-exporter/httpd-semguard.prom
BASHDIR ?= $(DATADIR)/bash-completion/completions
ZSHDIR ?= $(DATADIR)/zsh/site-functions
FISHDIR ?= $(DATADIR)/fish/vendor_completions.d
# The units that get a drop-in.
UNITS ?= apache2 apache2@ httpd httpd@
DESTDIR ?=
CARGO ?= cargo
INSTALL ?= install
# Set to 1, nothing that a test needs may be missing: a test that cannot run fails.
REQUIRE_ALL ?=
export REQUIRE_ALL

target = $(or $(CARGO_TARGET_DIR),target)

.PHONY: build demo check quick torture completions install uninstall deb rpm vendor clean help

build: ## build the program (target/release/httpd-semguard)
	$(CARGO) build --release --locked

demo: ## replay an outage and its end, in namespaces of its own; no rights needed
	@tests/demo.sh

check: ## run all tests; as root, install the Debian packages that they use
	@tests/setup.sh || [ "$$REQUIRE_ALL" != 1 ]
	$(CARGO) test --locked --no-fail-fast

# The tests that need neither root nor a package, in these files; every other file is left out.
quick = docs environment formats fuzz house recorded supply
of_packages = mandoc groff
others = $(filter-out $(quick),$(patsubst %/main,%,$(patsubst tests/%.rs,%,\
    $(wildcard tests/*.rs tests/*/main.rs))))
quick: ## run the tests that need neither root nor a package, in under a minute once built
	$(CARGO) test --quiet --locked --no-fail-fast --lib $(quick:%=--test %) -- $(of_packages:%=--skip %) --skip real::
	@echo "make quick left out, of docs and formats: $(of_packages) real"
	@echo "and all of:" $(sort $(others)) | fmt -w 100
	@echo "make check runs them."

.PHONY: agreement
agreement: ## compare the forecast with N=300 real starts (SEED= for others); root
	AGREEMENT_N=$(N) AGREEMENT_SEED=$(SEED) REQUIRE_ALL=1 $(CARGO) test --locked --test agreement

RUNS ?= 20000
SEED ?=
torture: ## run random worlds with RUNS=20000 guard runs (SEED= repeats one); root
	MODEL_RUNS=$(RUNS) MODEL_SEED=$(SEED) REQUIRE_ALL=1 $(CARGO) test --locked --test model no_history

.PHONY: fuzz
# What is interesting and new goes below target: tests/corpus keeps what somebody chose.
fuzz: ## fuzz each target in fuzz/ for FUZZ_SECONDS=60, from tests/corpus; nightly Rust
	@CARGO=$(CARGO) fuzz/run.sh $(abspath $(target))/fuzz

.PHONY: deny
# An installed cargo-deny serves, else this version is installed below target. The database of
# advisories lives on another host than the crates do.
CARGO_DENY = cargo-deny@0.20.2
deny: export PATH := $(PATH):$(abspath $(target))/tools/bin
deny: ## check licences, sources, versions and advisories of all crates (deny.toml, cargo-deny)
	@command -v cargo-deny >/dev/null || \
	    $(CARGO) install --locked --root $(abspath $(target))/tools $(CARGO_DENY) || \
	    { echo "make deny: missing: $(CARGO_DENY), and it could not be installed" >&2; exit 1; }
	$(CARGO) deny --locked check licenses sources bans
	@if $(CARGO) deny --locked fetch db; then \
	    $(CARGO) deny --locked check advisories; \
	else \
	    echo "SKIPPED: make deny: ADVISORIES NOT CHECKED, their database could not be had" >&2; \
	    [ "$$REQUIRE_ALL" != 1 ]; \
	fi

.PHONY: hard
hard: ## try the hard cases and print what each lost and kept; root
	@tests/setup.sh
	REQUIRE_ALL=1 $(CARGO) test --quiet --locked --test hard -- --test-threads=6

.PHONY: outage
outage: ## make docs/outage.md and its pictures anew, from real runs; root
	@tests/setup.sh
	$(CARGO) build --quiet --locked --bin httpd-semguard --example picture
	SEMGUARD=$(target)/debug/httpd-semguard docs/outage.sh docs
	$(target)/debug/examples/picture docs/outage/*.ansi

.PHONY: bench
bench: ## measure what a run costs (target/bench/report.md), BENCH_RUNS=20 times each; root
	@for tool in gcc gnuplot unshare ipcs; do command -v $$tool >/dev/null || \
	    { echo "make bench: $$tool is missing (Debian: gcc libc6-dev gnuplot-nox util-linux)" >&2; exit 1; }; done
	@mkdir -p $(target)/bench
	gcc -std=gnu11 -O2 -Wall -o $(target)/bench/floor bench/floor.c
	$(CARGO) bench --locked --bench cost -- $(target)/bench

completions: ## make the completions for bash, zsh and fish (target/completions)
	$(CARGO) run --quiet --locked --example completions -- $(target)/completions

# Builds nothing, so that "make build && sudo make install" works where root has no Rust. What names
# the program gets its real path.
install: ## install all in place (DESTDIR=, PREFIX=/usr/local, …); build first
	@test -e $(target)/release/httpd-semguard || { echo "make install: run make build first" >&2; exit 1; }
	$(INSTALL) -D -m 755 $(target)/release/httpd-semguard $(DESTDIR)$(SBINDIR)/httpd-semguard
	$(INSTALL) -D -m 755 packaging/apachectl/apachectl-semguard $(DESTDIR)$(SBINDIR)/apachectl-semguard
	$(INSTALL) -D -m 755 packaging/after-httpd $(DESTDIR)$(LIBEXECDIR)/httpd-semguard/after-httpd
	$(INSTALL) -D -m 644 -t $(DESTDIR)$(MANDIR)/man8 man/*.8
	for unit in $(UNITS); do \
	    $(INSTALL) -D -m 644 -t $(DESTDIR)$(UNITDIR)/$$unit.service.d \
	        systemd/$$unit.service.d/20-semguard.conf || exit; \
	done
	$(INSTALL) -D -m 644 -t $(DESTDIR)$(UNITDIR) systemd/httpd-semguard-metrics.*
	sed -i 's|/var/lib/prometheus/node-exporter/httpd-semguard.prom|$(METRICS)|' \
	    $(DESTDIR)$(UNITDIR)/httpd-semguard-metrics.service
	test -e $(DESTDIR)$(SETTINGS) || \
	    $(INSTALL) -D -m 644 packaging/httpd-semguard.default $(DESTDIR)$(SETTINGS)
	$(INSTALL) -D -m 644 -t $(DESTDIR)$(DOCDIR) README.md
	$(INSTALL) -D -m 644 -t $(DESTDIR)$(DOCDIR)/examples packaging/examples/* packaging/nagios/* \
	    packaging/prometheus/httpd-semguard.rules.yml
	$(INSTALL) -D -m 644 -t $(DESTDIR)$(DATADIR)/httpd-semguard packaging/schema/report-1.schema.json
	@test -e $(target)/completions/httpd-semguard || echo "make install: no completions (make completions)" >&2
	for made in $(BASHDIR)/httpd-semguard $(ZSHDIR)/_httpd-semguard $(FISHDIR)/httpd-semguard.fish; do \
	    test ! -e $(target)/completions/$${made##*/} || \
	        $(INSTALL) -D -m 644 $(target)/completions/$${made##*/} $(DESTDIR)$$made || exit; \
	done
	for file in $(SBINDIR)/apachectl-semguard $(LIBEXECDIR)/httpd-semguard/after-httpd \
	    $(UNITDIR)/httpd-semguard-metrics.service $(UNITS:%=$(UNITDIR)/%.service.d/20-semguard.conf); do \
	    sed -i 's|/usr/sbin/httpd-semguard|$(SBINDIR)/httpd-semguard|' $(DESTDIR)$$file || exit; \
	done
	sed -i 's|/usr/share/httpd-semguard|$(DATADIR)/httpd-semguard|' $(DESTDIR)$(MANDIR)/man8/httpd-semguard.8

uninstall: ## remove what "make install" put in place; the same variables; settings stay
	rm -f $(DESTDIR)$(SBINDIR)/httpd-semguard $(DESTDIR)$(SBINDIR)/apachectl-semguard
	rm -f $(DESTDIR)$(LIBEXECDIR)/httpd-semguard/after-httpd $(DESTDIR)$(DOCDIR)/README.md
	rm -f $(patsubst %,$(DESTDIR)$(DOCDIR)/examples/%,$(notdir $(wildcard packaging/examples/* \
	    packaging/nagios/* packaging/prometheus/httpd-semguard.rules.yml)))
	rm -f $(patsubst man/%,$(DESTDIR)$(MANDIR)/man8/%,$(wildcard man/*.8))
	rm -f $(UNITS:%=$(DESTDIR)$(UNITDIR)/%.service.d/20-semguard.conf)
	rm -f $(DESTDIR)$(UNITDIR)/httpd-semguard-metrics.service $(DESTDIR)$(UNITDIR)/httpd-semguard-metrics.timer
	rm -f $(DESTDIR)$(DATADIR)/httpd-semguard/report-1.schema.json
	rm -f $(DESTDIR)$(BASHDIR)/httpd-semguard $(DESTDIR)$(ZSHDIR)/_httpd-semguard
	rm -f $(DESTDIR)$(FISHDIR)/httpd-semguard.fish
	@rmdir $(DESTDIR)$(LIBEXECDIR)/httpd-semguard $(DESTDIR)$(DATADIR)/httpd-semguard $(DESTDIR)$(DOCDIR)/examples $(DESTDIR)$(DOCDIR) \
	    $(UNITS:%=$(DESTDIR)$(UNITDIR)/%.service.d) 2>/dev/null || true

deb: build completions ## make the Debian package (target/deb)
	packaging/deb/build.sh $(target)

# Builds from the vendored crates, in a tree of its own.
rpm: ## make the RPM package and its source package (target/rpm)
	@mkdir -p $(target)
	packaging/rpm/build.sh $(target)

vendor: ## make the archive of all crates, for builds without a registry (target/rpm/SOURCES)
	@mkdir -p $(target)
	packaging/rpm/build.sh $(target) vendor

.PHONY: msrv static
msrv: ## build with the compiler of Debian 13, in a root file system of its own; root
	tests/msrv.sh

# With the C library linked in. Not musl's: its target is not everywhere, and it reads no nsswitch.conf.
static: host = $(shell rustc -vV | sed -n 's/^host: //p')
static: ## build a static program (target/static/httpd-semguard)
	RUSTFLAGS="$$RUSTFLAGS -C target-feature=+crt-static" \
	    $(CARGO) build --release --locked --target $(host) --target-dir $(target)/static
	cp $(target)/static/$(host)/release/httpd-semguard $(target)/static/httpd-semguard
	@! readelf --program-headers $(target)/static/httpd-semguard | grep INTERP
	$(target)/static/httpd-semguard --version

clean: ## remove what was built
	$(CARGO) clean

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)
