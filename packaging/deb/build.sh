#!/bin/sh
# Makes the .deb with a program, using dpkg's own tools and no debhelper, so that it needs only dpkg-dev
# and no root privileges. Called by "make deb" and "make dist". The program is not run, so it may be for
# another architecture.
#
#   packaging/deb/build.sh TARGET [PROGRAM]
#       TARGET: cargo's target directory, with the output of "make completions"
#       PROGRAM: the program to package; by default the output of "make build"
#
# DEB_MAINTAINER: the maintainer of the package. SOURCE_DATE_EPOCH: see packaging/epoch.sh.
set -eu

target=$(readlink -e "${1:?name the target directory}")
program=$(readlink -e "${2:-$target/release/httpd-semguard}") || {
    echo "deb: the program was not found; run make build" >&2
    exit 1
}
cd "$(dirname "$0")/../.."
maintainer=${DEB_MAINTAINER:-The authors of httpd-semguard <httpd-semguard@example.org>}
needs=$(packaging/needs.sh "$program")
# shellcheck disable=SC2086 # words
set -- $needs
case $1 in
x86_64) arch=amd64 ;;
aarch64) arch=arm64 ;;
*) arch=$(dpkg --print-architecture) ;;
esac
# What the program needs must be installed before it is unpacked, because from then on it is called.
predepends="libc6 (>= $2)"
case $needs in *libgcc_s*) predepends="$predepends, libgcc-s1" ;; esac
out=$target/deb
stage=$out/stage
rm -rf "$stage"
mkdir -p "$stage/DEBIAN"
chmod 755 "$out" "$stage" "$stage/DEBIAN"
umask 022

sed "s|@MAINTAINER@|$maintainer|" packaging/deb/changelog >"$out/changelog"
version=$(dpkg-parsechangelog -l "$out/changelog" -S Version)
crate=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
if [ "${version%-*}" != "$crate" ]; then
    echo "deb: packaging/deb/changelog has $version, Cargo.toml $crate" >&2
    exit 1
fi
SOURCE_DATE_EPOCH=$(packaging/epoch.sh)
export SOURCE_DATE_EPOCH

# ---- files -------------------------------------------------------------------------------------

packaging/install.sh PROGRAM="$program" COMPLETIONS="$target/completions" DESTDIR="$stage" \
    PREFIX=/usr UNITS='apache2 apache2@' ZSHDIR=/usr/share/zsh/vendor-completions

doc=$stage/usr/share/doc/httpd-semguard
packaging/licences.sh /usr/share/common-licenses/Apache-2.0 "$program" >"$doc/copyright"
gzip -9n <"$out/changelog" >"$doc/changelog.Debian.gz"
gzip -9n <CHANGELOG.md >"$doc/changelog.gz"
find "$stage/usr/share/man" -name '*.8' -exec gzip -9n {} +
install -D -m 644 packaging/deb/lintian-overrides \
    "$stage/usr/share/lintian/overrides/httpd-semguard"

# ---- control files -----------------------------------------------------------------------------

(cd "$stage" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum) \
    >"$stage/DEBIAN/md5sums"
# Of the files only: the size of a directory depends on the file system.
size=$(find "$stage/usr" "$stage/etc" -type f -printf '%s\n' |
    awk '{ n += int(($1 + 1023) / 1024) } END { print n }')
sed -e "s|@VERSION@|$version|; s|@ARCH@|$arch|; s|@MAINTAINER@|$maintainer|; s|@SIZE@|$size|" \
    -e "s|@PREDEPENDS@|$predepends|" packaging/deb/control >"$stage/DEBIAN/control"
install -m 644 packaging/deb/conffiles packaging/deb/triggers "$stage/DEBIAN"
install -m 755 packaging/deb/postinst packaging/deb/prerm packaging/deb/postrm "$stage/DEBIAN"

find "$stage" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
# gzip, which every version of dpkg can read.
dpkg-deb --root-owner-group -Zgzip -b "$stage" "$out/httpd-semguard_${version}_$arch.deb" >/dev/null
rm -rf "$stage"
echo "$out/httpd-semguard_${version}_$arch.deb"
