#!/bin/sh
# Checks whether rpm 4.11 (EL 7, Amazon Linux 2, SLES 12) can read and install these packages: what they
# require of rpm itself, how the files are packed, and which digests they have. Based on lib/rpmds.c,
# lib/psm.c and lib/package.c of rpm 4.11.3.
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
    holds "the format of the payload" "$(query '%{PAYLOADFORMAT} %{PAYLOADCOMPRESSOR}')" "cpio gzip"
    # SHA-256, which rpm knows since 4.6.
    holds "the digest of files" "$(query '%{FILEDIGESTALGO}')" 8
    # rpm 4.11 has no others for header and payload.
    holds "the header's digest without hex digits" "$(query '%{SHA1HEADER}' | tr -d 0-9a-f)" ""
    holds "the payload's digest without hex digits" "$(query '%{SIGMD5}' | tr -d 0-9a-f)" ""
    holds "the list of file triggers" "$(query '%{FILETRIGGERNAME} %{TRANSFILETRIGGERNAME}')" "(none) (none)"
    holds "the list of weak dependencies" "$(query '%{RECOMMENDNAME} %{SUGGESTNAME}')" "(none) (none)"
    others=$(query '[%{REQUIRENAME} %{REQUIREVERSION}\n]' | grep -e '^(' -e '^rpmlib(' |
        grep -vxF -e 'rpmlib(CompressedFileNames) 3.0.4-1' -e 'rpmlib(PayloadFilesHavePrefix) 4.0-1' \
            -e 'rpmlib(FileDigests) 4.6.0-1' -e 'rpmlib(VersionedDependencies) 3.0.3-1' \
            -e 'rpmlib(ScriptletInterpreterArgs) 4.0.3-1' -e 'rpmlib(TildeInVersions) 4.10.0-1' || true)
    holds "the list of requirements on rpm that 4.11 does not meet" "$others" ""
done
[ -z "$wrong" ]
