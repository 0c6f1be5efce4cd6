#!/bin/sh
# Makes the .rpm and its source package in a directory tree of its own; needs rpmbuild, but not root.
# Called by "make rpm" and "make vendor".
#
#   packaging/rpm/build.sh TARGET            TARGET: cargo's target directory
#   packaging/rpm/build.sh TARGET vendor     make only the archive with all crates
#   packaging/rpm/build.sh TARGET prebuilt [PROGRAM] [RPMBUILD-OPTIONS]
#                                            package a program that was built elsewhere, by default
#                                            TARGET/release/httpd-semguard, without running it: it
#                                            may be for another architecture
#
# SOURCE_DATE_EPOCH: see packaging/epoch.sh.
set -eu

target=$(readlink -e "${1:?name the target directory}")
how=${2:-}
if [ "$how" = prebuilt ]; then
    shift 2
    program=$target/release/httpd-semguard
    case ${1:--} in -*) ;; *) program=$1 && shift ;; esac
    program=$(readlink -e "$program") || { echo "rpm: the program was not found; run make build" >&2; exit 1; }
fi
cd "$(dirname "$0")/../.."
SOURCE_DATE_EPOCH=$(packaging/epoch.sh)
export SOURCE_DATE_EPOCH
cargo=${CARGO:-cargo}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
name=httpd-semguard-$version
top=$target/rpm
mkdir -p "$top/SOURCES"

# The same sources give the same archive. Crates for other systems are listed in Cargo.lock and must
# exist, but their code, which is mostly import libraries, is left out.
pack() {
    LC_ALL=C tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" "$@" | gzip -n
}

if [ "$how" != prebuilt ]; then
    rm -rf "$top/vendor"
    "$cargo" vendor --quiet --locked --versioned-dirs "$top/vendor" >/dev/null
    pack -C "$top" --exclude='*.a' --exclude='*.lib' --exclude='windows-[0-9]*/src/Windows' \
        -c vendor >"$top/SOURCES/$name-vendor.tar.gz"
    rm -rf "$top/vendor"
    if [ "$how" = vendor ]; then
        echo "$top/SOURCES/$name-vendor.tar.gz"
        exit
    fi
fi
pack --exclude-vcs --exclude=target --exclude=./vendor --transform="s,^\.,$name," -c . \
    >"$top/SOURCES/$name.tar.gz"

if [ "$how" = prebuilt ]; then
    packaging/licences.sh LICENSE "$program" >"$top/THIRD-PARTY"
    needs=$(packaging/needs.sh "$program")
    arch=${needs%% *}
    requires=${needs#* }
    requires="glibc >= ${requires%% *}"
    # Which unwinder it contains, and under which licence.
    case $needs in
    *libgcc_s*) requires="$requires, libgcc_s.so.1()(64bit)" ;;
    *) set -- "$@" --define "prebuilt_unwinder llvm" ;;
    esac
    set -- -bb "$@" --target "$arch-linux" --with prebuilt --define "prebuilt_program $program" \
        --define "prebuilt_completions $target/completions" --define "prebuilt_licences $top/THIRD-PARTY" \
        --define "prebuilt_requires $requires"
else
    set -- -ba
fi
# On systems that do not install packages with rpm, its database does not know the compiler.
[ -e /etc/redhat-release ] || set -- "$@" --nodeps
rm -rf "$top/RPMS" "$top/SRPMS"
rpmbuild --quiet --define "_topdir $top" --define "_dbpath $top/db" "$@" \
    packaging/rpm/httpd-semguard.spec >"$top/log" 2>&1 || { cat "$top/log" >&2; exit 1; }
rm -rf "$top/BUILD/$name" "$top/BUILDROOT"
find "$top/RPMS" "$top/SRPMS" -name '*.rpm' 2>/dev/null | sort
