#!/bin/sh
# Prints the time that all files of a release bear, in seconds since 1970, so that the same sources
# give the same files: SOURCE_DATE_EPOCH where it is set, else the date in deb/changelog.
set -eu

date=$(sed -n "s/^ -- .*  //p" "$(dirname "$0")/deb/changelog" | grep -m 1 .)
echo "${SOURCE_DATE_EPOCH:-$(date -d "$date" +%s)}"
