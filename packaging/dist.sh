#!/bin/sh
# Puts all files of a release into TARGET/dist: for each architecture an archive, a .deb and a .rpm with
# the portable program, the manual pages as text, the list of crates, and SHA256SUMS. Runs none of the
# programs. The same sources and programs give the same files, byte for byte, in any directory. Called
# by "make dist", after "make portable completions sbom".
#
#   packaging/dist.sh TARGET         TARGET: cargo's target directory
#
# DEB_MAINTAINER: the maintainer of the packages. SOURCE_DATE_EPOCH: see packaging/epoch.sh.
set -eu
umask 022

target=$(readlink -e "${1:?name the target directory}")
cd "$(dirname "$0")/.."
tests/setup.sh binutils dpkg-dev groff-base rpm
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
SOURCE_DATE_EPOCH=$(packaging/epoch.sh)
export SOURCE_DATE_EPOCH

dist=$target/dist
stage=$dist.stage
rm -rf "$dist" "$stage"
mkdir "$dist" "$stage"
trap 'rm -rf "$stage"' EXIT

for page in man/*.8; do
    LC_ALL=C.UTF-8 groff -mandoc -Tutf8 -P-cbou "$page" >"$dist/$(basename "$page").txt"
done
cp "$target/httpd-semguard.cdx.json" "$dist"
packaging/licences.sh LICENSE "$target/portable/x86_64/httpd-semguard" >"$stage/THIRD-PARTY"

for arch in x86_64 aarch64; do
    program=$target/portable/$arch/httpd-semguard
    needs=$(packaging/needs.sh "$program")
    if [ "$needs" != "$arch 2.17" ]; then
        echo "dist: $program needs $needs, not just $arch 2.17" >&2
        exit 1
    fi

    # In the layout of the sources, so that install.sh finds everything in its place.
    name=httpd-semguard-$version-$arch
    tree=$stage/$name
    mkdir "$tree"
    cp -r --parents README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md LICENSE man systemd \
        docs/*.md docs/*/*.svg \
        packaging/README.md packaging/after-httpd packaging/ansible packaging/apachectl \
        packaging/examples packaging/httpd-semguard.default packaging/nagios packaging/prometheus \
        packaging/schema "$tree"
    cp packaging/install.sh "$stage/THIRD-PARTY" "$program" "$tree"
    cp -r "$target/completions" "$tree"
    LC_ALL=C tar -C "$stage" --sort=name --owner=0 --group=0 --numeric-owner --format=gnu \
        --mode=u+rwX,go+rX,go-w --mtime="@$SOURCE_DATE_EPOCH" -c "$name" |
        gzip -9n >"$dist/$name.tar.gz"

    cp "$(packaging/deb/build.sh "$target" "$program" | tail -n 1)" "$dist"
    cp "$(packaging/rpm/build.sh "$target" prebuilt "$program" | tail -n 1)" "$dist"
done

packaging/rpm/readable.sh "$dist"/*.rpm
(cd "$dist" && LC_ALL=C sha256sum -- * >SHA256SUMS)
ls -l "$dist"
