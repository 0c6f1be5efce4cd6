#!/bin/bash
# Creates the Debian root file systems in which the tests boot or build, once, and prints the path of
# one. They are never changed afterwards: the tests mount an overlay on top.
#
#   tests/rootfs.sh NAME        bullseye: glibc 2.31, systemd 247 and its httpd;
#                               bookworm: systemd 252 and its httpd; trixie: systemd 257 and its httpd;
#                               trixie-rust: the compiler of Debian 13, with the source of Rust's library
#   tests/rootfs.sh --cached    lists those that exist
#
# They are kept in $HTTPD_SEMGUARD_TEST_CACHE, by default below $XDG_CACHE_HOME or /var/cache. Packages
# come from $DEBIAN_MIRROR, by default from the mirror from which this machine gets its Debian packages.
#
# Needs root and debootstrap, and takes a minute or two for each.
set -euo pipefail

cache=${HTTPD_SEMGUARD_TEST_CACHE:-${XDG_CACHE_HOME:-/var/cache}/httpd-semguard-tests}

case ${1:-} in
bullseye | bookworm | trixie)
    suite=$1
    packages=systemd,systemd-sysv,dbus,apache2
    ;;
trixie-rust)
    suite=trixie
    packages=rustc,cargo,rust-src,gcc,libc6-dev
    ;;
--cached)
    for stamp in "$cache"/*/.recipe; do
        [ ! -e "$stamp" ] || basename "$(dirname "$stamp")"
    done
    exit
    ;;
*)
    echo "usage: tests/rootfs.sh bullseye|bookworm|trixie|trixie-rust|--cached" >&2
    exit 64
    ;;
esac

root=$cache/$1
# If this line changes, existing root file systems are created again.
recipe="4 $suite minbase $packages"

debs=$cache/packages/$suite
mkdir -p "$debs"
exec 9>"$debs/lock"
flock 9
if [ "$(cat "$root/.recipe" 2>/dev/null)" = "$recipe" ]; then
    echo "$root"
    exit
fi
if [ "$(id -u)" -ne 0 ] || ! command -v debootstrap >/dev/null; then
    echo "rootfs: $root does not exist yet; creating it needs root and debootstrap" >&2
    exit 1
fi

mirror=${DEBIAN_MIRROR:-}
if [ -z "$mirror" ] && [ -x /usr/bin/apt-get ]; then
    mirror=$(apt-get indextargets --format "\$(REPO_URI)" 'Origin: Debian' 'Label: Debian' \
        'Component: main' 2>/dev/null | grep -m 1 '^http' || true)
fi
if [ -z "$mirror" ]; then
    echo "rootfs: apt has no Debian mirror; set DEBIAN_MIRROR" >&2
    exit 1
fi

echo "rootfs: creating $root from $mirror" >&2
new=$root.new
rm -rf --one-file-system "$new" "$root"
# What debootstrap mounts disappears with the namespace.
unshare --mount debootstrap --variant=minbase --cache-dir="$debs" --include="$packages" \
    "$suite" "$new" "$mirror" >"$new.log" 2>&1 9>&- || {
    tail -n 20 "$new.log" "$new/debootstrap/debootstrap.log" >&2 2>/dev/null || true
    exit 1
}

# A repository with only apache2, for "apt-get install --reinstall" on a machine without a network.
if [ "$1" != trixie-rust ]; then
    version=$(dpkg-query --root="$new" -W -f "\${Version}" apache2)
    deb=$(basename "$debs/apache2_$version"_*.deb)
    mkdir "$new/srv/repository"
    cd "$new/srv/repository"
    cp "$debs/$deb" .
    {
        dpkg-deb -f "$deb"
        echo "Filename: ./$deb"
        echo "Size: $(stat -c %s "$deb")"
        echo "SHA256: $(sha256sum <"$deb" | cut -d ' ' -f 1)"
    } >Packages
    cd "$cache"
    echo 'deb [trusted=yes] file:/srv/repository ./' >"$new/etc/apt/sources.list"
fi
rm -rf "$new"/var/cache/apt/archives/*.deb "$new"/var/lib/apt/lists/* "$new/etc/resolv.conf"
echo semguard >"$new/etc/hostname"
echo 127.0.0.1 localhost semguard >"$new/etc/hosts"
echo "$recipe" >"$new/.recipe"
mv "$new" "$root"
rm -f "$new.log"
echo "$root"
