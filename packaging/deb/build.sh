#!/bin/sh
# Makes the .deb from what "make build completions" made, with dpkg's own tools and no debhelper, so
# that it needs neither root nor more than dpkg-dev. Called by "make deb".
#
#   packaging/deb/build.sh TARGET       TARGET: cargo's target directory
#
# DEB_MAINTAINER, SOURCE_DATE_EPOCH: as usual; the latter defaults to the changelog's date, so that
# the same sources give the same file.
set -eu

target=$(readlink -e "${1:?name the target directory}")
cd "$(dirname "$0")/../.."
maintainer=${DEB_MAINTAINER:-The authors of httpd-semguard <httpd-semguard@example.org>}
arch=$(dpkg --print-architecture)
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
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(dpkg-parsechangelog -l "$out/changelog" -S Timestamp)}
export SOURCE_DATE_EPOCH

# ---- files -------------------------------------------------------------------------------------

CARGO_TARGET_DIR=$target make --no-print-directory install DESTDIR="$stage" PREFIX=/usr \
    UNITS='apache2 apache2@' ZSHDIR=/usr/share/zsh/vendor-completions >/dev/null

doc=$stage/usr/share/doc/httpd-semguard
packaging/licences.sh /usr/share/common-licenses/Apache-2.0 >"$doc/copyright"
gzip -9n <"$out/changelog" >"$doc/changelog.Debian.gz"
gzip -9n <CHANGELOG.md >"$doc/changelog.gz"
find "$stage/usr/share/man" -name '*.8' -exec gzip -9n {} +
install -D -m 644 packaging/deb/lintian-overrides \
    "$stage/usr/share/lintian/overrides/httpd-semguard"

# ---- control files -----------------------------------------------------------------------------

mkdir -p "$out/shlibs/debian"
printf 'Source: httpd-semguard\n\nPackage: httpd-semguard\nArchitecture: any\n' \
    >"$out/shlibs/debian/control"
depends=$(cd "$out/shlibs" && dpkg-shlibdeps -O -e"$stage/usr/sbin/httpd-semguard" |
    sed -n 's/^shlibs:Depends=//p')

(cd "$stage" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum) \
    >"$stage/DEBIAN/md5sums"
size=$(du -k -s --apparent-size --exclude=DEBIAN "$stage" | cut -f1)
sed -e "s|@VERSION@|$version|; s|@ARCH@|$arch|; s|@MAINTAINER@|$maintainer|; s|@SIZE@|$size|" \
    -e "s|@DEPENDS@|$depends|" packaging/deb/control >"$stage/DEBIAN/control"
install -m 644 packaging/deb/conffiles packaging/deb/triggers "$stage/DEBIAN"
install -m 755 packaging/deb/postinst packaging/deb/prerm packaging/deb/postrm "$stage/DEBIAN"

find "$stage" -newermt "@$SOURCE_DATE_EPOCH" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
dpkg-deb --root-owner-group -Zxz -b "$stage" "$out/httpd-semguard_${version}_$arch.deb" >/dev/null
rm -rf "$stage"
echo "$out/httpd-semguard_${version}_$arch.deb"
