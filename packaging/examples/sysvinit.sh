#!/bin/sh
# For sysvinit, OpenRC's sysvinit scripts and the like: what to put into httpd's start script, just
# before the line that starts httpd. The guard's message goes to the console. Its exit code 69, "httpd
# would not start", goes out; whatever else becomes of it stops nothing.
#
# Simpler, where the script calls apachectl: let it call /usr/sbin/apachectl-semguard instead
# (apachectl-semguard(8)); then nothing below is needed.

semguard() {
    [ -x /usr/sbin/httpd-semguard ] || return 0
    # $OPTIONS is what the script starts httpd with (-f FILE, -D NAME); it may be empty.
    # shellcheck disable=SC2086 # several words
    /usr/sbin/httpd-semguard guard -- ${OPTIONS:-}
    [ $? -ne 69 ]
}

case "${1:-}" in
start)
    semguard || exit 69
    # … the script's own start of httpd …
    ;;
esac
