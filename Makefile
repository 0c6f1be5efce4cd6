# What there is to do with httpd-semguard. `make help` lists it.

CARGO ?= cargo
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

.PHONY: kill-loop
kill-loop: ## kill an instance N=200 times beside a living sibling, for each MPM a third; root
	@tests/setup.sh
	KILLS=$(or $(N),200) REQUIRE_ALL=1 $(CARGO) test --quiet --locked --test siblings -- --nocapture

.PHONY: outage
outage: ## make docs/outage.md and its pictures anew, from real runs; root
	@tests/setup.sh
	$(CARGO) build --quiet --locked --bin httpd-semguard --example picture
	SEMGUARD=$(target)/debug/httpd-semguard docs/outage.sh docs
	$(target)/debug/examples/picture docs/outage/*.ansi

.PHONY: mutexes
mutexes: ## make docs/mutexes.md anew, from the code's table
	WRITE_PAGES=1 $(CARGO) test --quiet --locked --test mutexes

.PHONY: bench
bench: ## measure what a run costs (target/bench/report.md), BENCH_RUNS=20 times each; root
	@for tool in gcc gnuplot unshare ipcs; do command -v $$tool >/dev/null || \
	    { echo "make bench: $$tool is missing (Debian: gcc libc6-dev gnuplot-nox util-linux)" >&2; exit 1; }; done
	@mkdir -p $(target)/bench
	gcc -std=gnu11 -O2 -Wall -o $(target)/bench/floor bench/floor.c
	$(CARGO) bench --locked --bench cost -- $(target)/bench

completions: ## make the completions for bash, zsh and fish (target/completions)
	$(CARGO) run --quiet --locked --example completions -- $(target)/completions

# Builds nothing, so that "make build && sudo make install" works where root has no Rust.
put = PROGRAM=$(target)/release/httpd-semguard COMPLETIONS=$(target)/completions packaging/install.sh

install: ## install all in place (PREFIX=/usr/local, DESTDIR=, …: see packaging/install.sh); build first
	@$(put)

uninstall: ## remove what "make install" put in place; the same variables; settings stay
	@$(put) uninstall

deb: build completions ## make the Debian package (target/deb)
	packaging/deb/build.sh $(target)

# Builds from the vendored crates, in a tree of its own.
rpm: ## make the RPM package and its source package (target/rpm)
	@mkdir -p $(target)
	packaging/rpm/build.sh $(target)

.PHONY: sbom dist tagged
tagged: version = $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
tagged: ## hold TAG=vVERSION against the sources' own version and the changelog
	@[ "$(TAG)" = "v$(version)" ] || { echo "make tagged: $(TAG) is not v$(version)" >&2; exit 1; }
	@grep -q '^## \[$(version)\]' CHANGELOG.md || \
	    { echo "make tagged: CHANGELOG.md has no section for $(version)" >&2; exit 1; }

sbom: ## list the crates that the program is built from, as CycloneDX (target/httpd-semguard.cdx.json)
	@mkdir -p $(target)
	packaging/sbom.sh $(target)

dist: portable completions sbom ## make all files of a release (target/dist); root
	packaging/dist.sh $(target)

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

.PHONY: portable
portable: ## build for old systems: x86-64 and aarch64, glibc 2.17 (target/portable); root
	packaging/portable.sh $(target)

clean: ## remove what was built
	$(CARGO) clean

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { name[++n] = $$1; says[n] = $$2; if (length($$1) > w) w = length($$1) } \
	    END { for (i = 1; i <= n; i++) printf "  make %-" w "s  %s\n", name[i], says[i] }' $(MAKEFILE_LIST)
