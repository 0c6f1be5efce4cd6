#!/bin/sh
# Runs each fuzz target for FUZZ_SECONDS (60), starting from the inputs in tests/corpus and tests/dumps.
# Interesting new inputs are saved in DIR/corpus. An input that breaks a promise is saved in
# fuzz/artifacts, and ends the run. Called by "make fuzz".
#
#   fuzz/run.sh DIR        needs cargo-fuzz on the PATH; DIR is an absolute path
#
# Exit codes: 0 nothing was found; 1 something is missing, or something was found.
set -eu

dir=$1
cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}

missing() {
    echo "make fuzz: missing: $1" >&2
    lacks=1
}
lacks=
# Only nightly Rust has the sanitizers. Do not let rustup install it unasked.
if "$cargo" --version 2>/dev/null | grep -q nightly; then
    nightly=
elif RUSTUP_AUTO_INSTALL=0 "$cargo" +nightly --version >/dev/null 2>&1; then
    nightly=+nightly
else
    missing "nightly Rust (rustup toolchain install nightly)"
fi
command -v cargo-fuzz >/dev/null || missing "cargo-fuzz (cargo install --locked cargo-fuzz)"
command -v "${CXX:-c++}" >/dev/null || missing "a C++ compiler, for libFuzzer (Debian: g++)"
[ -z "$lacks" ] || exit 1

for target in fuzz/fuzz_targets/*.rs; do
    name=$(basename "$target" .rs)
    echo "fuzz: $name" >&2
    mkdir -p "$dir/corpus/$name"
    # libFuzzer writes to the first directory.
    "$cargo" ${nightly:+"$nightly"} fuzz run --target-dir "$dir" "$name" \
        "$dir/corpus/$name" "tests/corpus/$name" tests/dumps \
        -- -max_total_time="${FUZZ_SECONDS:-60}" -verbosity=0 -print_final_stats=1
done
