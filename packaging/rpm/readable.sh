#!/bin/sh
# Whether rpm 4.11 (EL 7, Amazon Linux 2, SLES 12) can read and install these packages: what it asks
# of rpm itself, how files are packed, what it is checked by. After lib/rpmds.c, lib/psm.c and
# lib/package.c of rpm 4.11.3.
#
#   packaging/rpm/readable.sh RPM...
set -eu

wrong=
query() {
    LC_ALL=C rpm -qp --nosignature --qf "$1" "$package"
}
holds() {
    if [ "$2" != "$3" ]; then
        echo "readable: $package: $1 is \"$2\", not \"$3\"" >&2
        wrong=1
    fi
}

for package; do
    holds "what packs the files" "$(query '%{PAYLOADFORMAT} %{PAYLOADCOMPRESSOR}')" "cpio gzip"
    # SHA-256, which it knows since 4.6.
    holds "the digest of files" "$(query '%{FILEDIGESTALGO}')" 8
    # It has no other for header and payload.
    holds "what the header is checked by" "$(query '%{SHA1HEADER}' | tr -d 0-9a-f)" ""
    holds "what the payload is checked by" "$(query '%{SIGMD5}' | tr -d 0-9a-f)" ""
    holds "its triggers by file" "$(query '%{FILETRIGGERNAME} %{TRANSFILETRIGGERNAME}')" "(none) (none)"
    holds "what it recommends" "$(query '%{RECOMMENDNAME} %{SUGGESTNAME}')" "(none) (none)"
    others=$(query '[%{REQUIRENAME} %{REQUIREVERSION}\n]' | grep -e '^(' -e '^rpmlib(' |
        grep -vxF -e 'rpmlib(CompressedFileNames) 3.0.4-1' -e 'rpmlib(PayloadFilesHavePrefix) 4.0-1' \
            -e 'rpmlib(FileDigests) 4.6.0-1' -e 'rpmlib(VersionedDependencies) 3.0.3-1' \
            -e 'rpmlib(ScriptletInterpreterArgs) 4.0.3-1' -e 'rpmlib(TildeInVersions) 4.10.0-1' || true)
    holds "what it requires of rpm" "$others" ""
done
[ -z "$wrong" ]
