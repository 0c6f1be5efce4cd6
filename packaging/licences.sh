#!/bin/sh
# Prints the licences of everything that is linked into the program, in the format of Debian's
# copyright files (DEP-5): this project, each crate, and Rust's standard library. Asks cargo which
# crates those are, and reads their licence files. Prints nothing else; stops at a licence that it does
# not know, so that no new one is added unnoticed.
#
#   packaging/licences.sh APACHE [PROGRAM]
#       APACHE: where a reader finds the text of Apache-2.0
#       PROGRAM: the program in question; those of "make portable" contain an unwinder, too
set -eu

apache=${1:?name the file with the text of Apache-2.0}
unwinder=
if [ -n "${2:-}" ]; then
    needs=$("$(dirname "$0")/needs.sh" "$2")
    case $needs in *libgcc_s*) ;; *) unwinder=1 ;; esac
fi
cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

host=$("${RUSTC:-rustc}" -vV | sed -n 's/^host: //p')
"$cargo" metadata --locked --format-version 1 --filter-platform "$host" >"$scratch/metadata"
# name|version|directory
grep -o '"manifest_path":"[^"]*"' "$scratch/metadata" | cut -d'"' -f4 | while read -r manifest; do
    awk -v dir="${manifest%/Cargo.toml}" '
        /^\[/ { package = ($0 == "[package]") }
        package && /^name *=/ && !name { split($0, f, "\""); name = f[2] }
        package && /^version *=/ && !version { split($0, f, "\""); version = f[2] }
        END { print name "|" version "|" dir }' "$manifest"
done >"$scratch/directories"
# name|version|licence|home; crates that only run during the build (procedural macros) are left out
"$cargo" tree --locked --target "$host" -e normal,no-proc-macro --prefix none \
    --format '{p}|{l}|{r}' | sed 's/ (\*)$//; s/ v\([^ |]*\)[^|]*|/|\1|/' | sort -u >"$scratch/crates"

# The lines of a crate's licence files that name the copyright holders.
holders() {
    find "$1" -maxdepth 1 -type f \( -iname 'licen[cs]e*' -o -iname 'copy*' \) -exec cat {} + |
        sed -n 's/^[[:space:]]*\(Copyright\|COPYRIGHT\)[[:space:]]*\((c)\|(C)\|©\)\{0,1\}[[:space:]]*//p' |
        tr -d '\r' | grep -vEi 'notice|owner|holder|licen[cs]e|\[' | sort -u
}

indented() {
    tr -d '\r' | sed 's/[[:space:]]*$//; s/^$/./; s/^/ /'
}

cat <<END
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: httpd-semguard
Comment: The program is linked statically with the crates below and with Rust's standard library.
 Files are named as "cargo vendor" lays them out.

Files: *
Copyright: the authors of httpd-semguard
License: Apache-2.0
END

: >"$scratch/names"
while IFS='|' read -r name version licence home; do
    [ "$name" != httpd-semguard ] || continue
    dir=$(awk -F'|' -v n="$name" -v v="$version" '$1 == n && $2 == v { print $3 }' "$scratch/directories")
    [ -n "$dir" ] || { echo "licences: the source of $name $version was not found" >&2; exit 1; }
    # DEP-5 writes "or" and calls this MIT licence Expat; old crates write "MIT/Apache-2.0". If there is
    # a choice of several, the one with an exception is left out.
    licence=$(echo "$licence" | sed 's|/| OR |g; s/Apache-2.0 WITH LLVM-exception OR //; s/ OR / or /g; s/ AND / and /g; s/\bMIT\b/Expat/g')
    echo "$licence" | sed 's/ or /\n/g; s/ and /\n/g' | while read -r short; do
        case $short in
        Apache-2.0 | Expat) ;;
        Unlicense) [ -e "$scratch/text.$short" ] || cp "$dir/UNLICENSE" "$scratch/text.$short" ;;
        *)
            echo "licences: $name $version is under \"$short\"; add its text to packaging/licences.sh" >&2
            exit 1
            ;;
        esac
        echo "$short" >>"$scratch/names"
    done
    held=$(holders "$dir")
    printf '\nFiles: vendor/%s/*\nCopyright:\n' "$name"
    echo "${held:-the authors of $name}" | indented
    printf 'License: %s\nComment: %s %s, %s\n' "$licence" "$name" "$version" "$home"
    # Apache-2.0, section 4 (d)
    find "$dir" -maxdepth 1 -type f -iname 'notice*' -exec cat {} + | indented
done <"$scratch/crates"

cat <<END

Files: library/*
Copyright: The Rust Project Developers, and the authors of the crates that it holds
License: Apache-2.0 or Expat
Comment: Rust's standard library, https://github.com/rust-lang/rust
END
if [ -n "$unwinder" ]; then
    cat <<'END'

Files: libunwind/*
Copyright: the authors of LLVM
License: Apache-2.0-with-LLVM-exception
Comment: LLVM's libunwind, as zig brings it, https://github.com/llvm/llvm-project
END
fi
cat <<END

License: Apache-2.0
 The text of the Apache License, version 2.0, is in $apache.

License: Expat
END
indented <<'END'
Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
associated documentation files (the "Software"), to deal in the Software without restriction,
including without limitation the rights to use, copy, modify, merge, publish, distribute,
sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial
portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES
OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN
CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
END
if [ -n "$unwinder" ]; then
    printf '\nLicense: Apache-2.0-with-LLVM-exception\n'
    indented <<END
The Apache License, version 2.0 ($apache), with these exceptions:

As an exception, if, as a result of your compiling your source code, portions of this Software are
embedded into an Object form of such source code, you may redistribute such embedded portions in such
Object form without complying with the conditions of Sections 4(a), 4(b) and 4(d) of the License.

In addition, if you combine or link compiled forms of this Software with software that is licensed
under the GPLv2 ("Combined Software") and if a court of competent jurisdiction determines that the
patent provision (Section 3), the indemnity provision (Section 9) or other Section of the License
conflicts with the conditions of the GPLv2, you may retroactively and prospectively choose to deem
waived or otherwise exclude such Section(s) of the License, but only in their entirety and only with
respect to the Combined Software.
END
fi
for text in "$scratch"/text.*; do
    [ -e "$text" ] || continue
    printf '\nLicense: %s\n' "${text##*/text.}"
    indented <"$text"
done
