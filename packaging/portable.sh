#!/bin/bash
# Builds the portable program, one for x86-64 and one for aarch64, against glibc 2.17, and checks that
# each needs only what old systems have. Called by "make portable". Everything is built with Debian 13's
# own compiler, in a root file system of its own, where paths are the same on every machine. Rust's
# standard library is built as well: the one that comes with a compiler is for that machine only, is
# optimized for speed, and names functions in backtraces, which makes the program a third larger.
#
#   packaging/portable.sh TARGET        build TARGET/portable/{x86_64,aarch64}/httpd-semguard
#   packaging/portable.sh gate PROGRAM  check a program
#
# Building needs root, debootstrap, python3 with venv, an x86-64 machine, Debian's mirror and PyPI;
# downloads are kept next to the root file systems of the tests (tests/rootfs.sh).
set -euo pipefail

# In bytes.
readonly LARGEST=$((5 * 1024 * 1024 / 4))

# With readelf, which can read programs for every architecture.
gate() {
    local program=$1 name=${1%.new} wrong=()
    local symbols needed header loads
    header=$(LC_ALL=C readelf --wide --file-header --program-headers "$program")
    symbols=$(LC_ALL=C readelf --wide --dyn-syms "$program")
    needed=$(LC_ALL=C readelf --wide --dynamic "$program")

    # An older loader refuses a program at the first symbol version that it lacks.
    local newest
    newest=$(grep -o '@GLIBC_[0-9.]*' <<<"$symbols" | sed 's/@GLIBC_//' | sort -Vu | tail -n 1)
    [ -n "$newest" ] || wrong+=("has no symbol of glibc, so nothing was checked")
    [ "$(printf '2.17\n%s\n' "$newest" | sort -V | tail -n 1)" = 2.17 ] ||
        wrong+=("needs GLIBC_$newest: $(grep -o "[^ ]*@GLIBC_$newest" <<<"$symbols" | xargs)")
    local others
    others=$(grep -o '[^ ]*@[A-Z][^ ]*' <<<"$symbols" | grep -v '@GLIBC_[0-9.]*$' | xargs || true)
    [ -z "$others" ] || wrong+=("needs symbols of other libraries: $others")

    local libraries
    libraries=$(sed -n 's/.*(NEEDED).*\[\(.*\)\]$/\1/p' <<<"$needed")
    [ -n "$libraries" ] || wrong+=("names no library: it is not linked against glibc")
    libraries=$(grep -v -x -E \
        'lib(c|m|dl|pthread|rt)\.so\.[0-9]+|ld-linux-(x86-64\.so\.2|aarch64\.so\.1)' \
        <<<"$libraries" | xargs || true)
    [ -z "$libraries" ] || wrong+=("needs libraries: $libraries")
    ! grep -E '\((RPATH|RUNPATH)\)' <<<"$needed" || wrong+=("has a library search path of its own")
    # glibc 2.36 is the first that knows packed relocations (DT_RELR); older ones would not relocate.
    ! grep '(RELR)' <<<"$needed" || wrong+=("has packed relocations")

    case $header in
    *'program interpreter: /lib64/ld-linux-x86-64.so.2]'*) ;;
    *'program interpreter: /lib/ld-linux-aarch64.so.1]'*)
        # EL 7 and 8 have pages of 64 KiB on aarch64, and do not load programs with a smaller alignment.
        loads=$(awk '$1 == "LOAD" && $NF !~ /^0x[0-9a-f]+0000$/' <<<"$header")
        [ -z "$loads" ] || wrong+=("is not aligned for pages of 64 KiB") ;;
    *) wrong+=("has a loader other than glibc's") ;;
    esac

    local size
    size=$(stat -c %s "$program")
    [ "$size" -le $LARGEST ] || wrong+=("has $size bytes, more than $LARGEST")

    if [ ${#wrong[@]} -gt 0 ]; then
        printf "portable: $name: %s\n" "${wrong[@]}" >&2
        return 1
    fi
    echo "portable: $name: $size bytes, GLIBC_$newest at most"
}

if [ "${1:-}" = gate ]; then
    gate "$2"
    exit
fi

mkdir -p "${1:?name the target directory}"
target=$(readlink -e "$1")
cd "$(dirname "$0")/.."

if [ "$(uname -m)" != x86_64 ] || [ "$(id -u)" -ne 0 ]; then
    echo "make portable: needs root on an x86-64 machine, to build in Debian 13's root file system" >&2
    exit 1
fi
tests/setup.sh binutils debootstrap python3-venv

root=$(tests/rootfs.sh trixie-rust)

# The tools are installed once for each version of their list.
tools=$(dirname "$root")/portable-$(sha256sum <packaging/portable-tools.txt | cut -c 1-16)
exec 9>"$tools.lock"
flock 9
if [ ! -d "$tools" ]; then
    echo "portable: getting zig, as a linker, from PyPI" >&2
    rm -rf "$tools.new"
    python3 -m venv "$tools.new"
    "$tools.new/bin/pip" --quiet install --only-binary :all: --require-hashes \
        --requirement packaging/portable-tools.txt >&2
    mv "$tools.new" "$tools"
fi
flock -u 9

"${CARGO:-cargo}" fetch --quiet --locked
# Rust's library needs crates as well; its manifest and the build use unstable features of cargo.
RUSTC_BOOTSTRAP=1 "${CARGO:-cargo}" fetch --quiet --locked \
    --manifest-path "$(echo "$root"/usr/src/rustc-*/library)/Cargo.toml"
made=$target/portable
mkdir -p "$made/build"

# shellcheck disable=SC2016 # for the inner shells
unshare --mount sh -euc '
    mount -t tmpfs -o mode=755 tmpfs /mnt
    mkdir /mnt/upper /mnt/work /mnt/crates /mnt/crates-work /mnt/root
    mount -t overlay -o lowerdir="$1",upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/root
    mkdir -p /mnt/root/src /mnt/root/target /mnt/root/tools /mnt/root/root/.cargo/registry
    mount --bind . /mnt/root/src
    mount -o remount,bind,ro /mnt/root/src
    mount --bind "$2" /mnt/root/target
    mount --bind "$4" /mnt/root/tools
    mount -t overlay -o lowerdir="$3",upperdir=/mnt/crates,workdir=/mnt/crates-work overlay \
        /mnt/root/root/.cargo/registry
    mount -t proc proc /mnt/root/proc
    exec chroot /mnt/root env -i HOME=/root PATH=/tools/bin:/usr/bin:/bin LC_ALL=C.UTF-8 \
        CARGO_TARGET_DIR=/target CARGO_NET_OFFLINE=true RUSTC_BOOTSTRAP=1 \
        ZIG_GLOBAL_CACHE_DIR=/target/zig sh -euc "
            cd /src
            export CARGO_ZIGBUILD_ZIG_PATH=\$(echo /tools/lib/python3*/site-packages/ziglang/zig)
            export RUSTFLAGS=--remap-path-prefix=/root/.cargo/registry/src=crates
            exec cargo zigbuild --quiet --release --locked --bin httpd-semguard \
                -Z build-std=std,panic_abort -Z build-std-features=optimize_for_size \
                --target x86_64-unknown-linux-gnu.2.17 --target aarch64-unknown-linux-gnu.2.17"
' sh "$root" "$made/build" "${CARGO_HOME:-$HOME/.cargo}/registry" "$tools" 9>&-

for machine in x86_64 aarch64; do
    program=$made/$machine/httpd-semguard
    mkdir -p "$made/$machine"
    cp "$made/build/$machine-unknown-linux-gnu/release/httpd-semguard" "$program.new"
    gate "$program.new" || { rm -f "$program"; exit 1; }
    mv "$program.new" "$program"
done
"$made/x86_64/httpd-semguard" --version
