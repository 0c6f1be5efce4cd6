#!/bin/sh
# Writes the list of the crates that the program is built from, as a CycloneDX document, to
# TARGET/httpd-semguard.cdx.json, using cargo-cyclonedx, which is built if it is missing. The document
# contains neither the current date nor a path of this machine. Called by "make sbom".
#
#   packaging/sbom.sh TARGET         TARGET: cargo's target directory
set -eu

target=$(readlink -e "${1:?name the target directory}")
cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}
tool=0.5.9
SOURCE_DATE_EPOCH=$(packaging/epoch.sh)
export SOURCE_DATE_EPOCH

if ! "$target/tools/bin/cargo-cyclonedx" cyclonedx --version 2>/dev/null | grep -q " $tool\$"; then
    CARGO_TARGET_DIR=$target/tools/build "$cargo" install --quiet --locked --force \
        --root "$target/tools" --version "$tool" cargo-cyclonedx
    rm -rf "$target/tools/build"
fi

# cargo-cyclonedx always writes to the directory of Cargo.toml.
trap 'rm -f httpd-semguard-sbom.json' EXIT
"$target/tools/bin/cargo-cyclonedx" cyclonedx --quiet --format json --spec-version 1.5 \
    --target x86_64-unknown-linux-gnu --override-filename httpd-semguard-sbom
sed "s|path+file://$PWD#|pkg:cargo/|g" httpd-semguard-sbom.json >"$target/httpd-semguard.cdx.json"

# Every crate that cargo builds from must be in the list, for both architectures. The list may contain
# more: it comes from "cargo metadata", which also names crates that a feature might need.
for arch in x86_64 aarch64; do
    "$cargo" tree --locked --target "$arch-unknown-linux-gnu" -e normal,build --prefix none \
        --format '{p}' | sed 's/ (.*//; s/ v/@/' | sort -u >"$target/sbom.built"
    while read -r crate; do
        grep -q "\"purl\": \"pkg:cargo/${crate}[?\"]" "$target/httpd-semguard.cdx.json" || {
            echo "sbom: the program for $arch is built from $crate, which is not in the list" >&2
            exit 1
        }
    done <"$target/sbom.built"
done
rm "$target/sbom.built"
if grep -n "file:///" "$target/httpd-semguard.cdx.json" >&2; then
    echo "sbom: the document contains a path of this machine" >&2
    exit 1
fi
echo "$target/httpd-semguard.cdx.json"
