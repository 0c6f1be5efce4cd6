#!/bin/sh
# Prints the time stamp of all files of a release, in seconds since 1970, so that the same sources give
# the same files: SOURCE_DATE_EPOCH if it is set, otherwise the date in deb/changelog.
set -eu

date=$(sed -n "s/^ -- .*  //p" "$(dirname "$0")/deb/changelog" | grep -m 1 .)
echo "${SOURCE_DATE_EPOCH:-$(date -d "$date" +%s)}"
