#!/bin/bash
# Builds the program, its tests and examples with Debian 13's own rustc and cargo, the oldest supported
# versions, and runs the program. Called by "make msrv"; needs root and debootstrap.
#
# Sources and crates are only read; only target/msrv is written.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "$(id -u)" -ne 0 ] || ! command -v debootstrap >/dev/null; then
    echo "SKIPPED: make msrv: needs root and debootstrap" >&2
    [ "${REQUIRE_ALL:-}" != 1 ]
    exit
fi

root=$(tests/rootfs.sh trixie-rust)
"${CARGO:-cargo}" fetch --quiet --locked
target=${CARGO_TARGET_DIR:-target}/msrv
mkdir -p "$target"

# shellcheck disable=SC2016 # for the inner shells
unshare --mount sh -euc '
    mount -t tmpfs -o mode=755 tmpfs /mnt
    mkdir /mnt/upper /mnt/work /mnt/crates /mnt/crates-work /mnt/root
    mount -t overlay -o lowerdir="$1",upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/root
    mkdir -p /mnt/root/src /mnt/root/target /mnt/root/root/.cargo/registry
    mount --bind . /mnt/root/src
    mount -o remount,bind,ro /mnt/root/src
    mount --bind "$2" /mnt/root/target
    mount -t overlay -o lowerdir="$3",upperdir=/mnt/crates,workdir=/mnt/crates-work overlay \
        /mnt/root/root/.cargo/registry
    mount -t proc proc /mnt/root/proc
    exec chroot /mnt/root env -i HOME=/root PATH=/usr/bin:/bin LC_ALL=C.UTF-8 \
        CARGO_TARGET_DIR=/target CARGO_NET_OFFLINE=true sh -euc "
            cd /src
            rustc --version
            cargo build --release --locked
            cargo check --locked --all-targets
            /target/release/httpd-semguard --version"
' sh "$root" "$target" "${CARGO_HOME:-$HOME/.cargo}/registry"
