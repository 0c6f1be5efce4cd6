#!/bin/sh
# Prints what a program requires of the system, read from its ELF headers without running it:
# ARCHITECTURE GLIBC [LIBRARY...], as in "x86_64 2.17". Stops at a library that it does not know.
#
#   packaging/needs.sh PROGRAM
set -eu

program=${1:?name the program}
headers=$(LC_ALL=C readelf -W -h -d -V "$program")

case $(echo "$headers" | sed -n 's/^ *Machine: *//p') in
*X86-64) arch=x86_64 ;;
AArch64) arch=aarch64 ;;
*) arch=$(uname -m) ;;
esac

libraries=
for library in $(echo "$headers" | sed -n 's/.*(NEEDED).*\[\(.*\)\]$/\1/p'); do
    case $library in
    # Part of glibc itself, in one package everywhere.
    libc.so.6 | libm.so.6 | libdl.so.2 | librt.so.1 | libpthread.so.0 | ld-linux-*) ;;
    libgcc_s.so.1) libraries=" libgcc_s" ;;
    *)
        echo "needs: $program needs $library; add its package to packaging/needs.sh" >&2
        exit 1
        ;;
    esac
done

# 2.17, the oldest version that is tested, even if an older one has all the symbols.
glibc=$(echo "$headers" | sed -n '$a 2.17
    s/.*Name: GLIBC_\([0-9.]*\) .*/\1/p' | sort -uV | tail -n 1)
echo "$arch $glibc$libraries"
