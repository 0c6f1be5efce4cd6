#!/bin/sh
# For sysvinit, OpenRC's sysvinit scripts and similar: what to add to httpd's start script, just before
# the line that starts httpd. Messages go to the console. Exit code 69, "httpd would not start", is passed
# on; nothing else that happens to httpd-semguard keeps httpd from starting.
#
# If the script calls apachectl, there is a simpler way: have it call /usr/sbin/apachectl-semguard instead
# (see apachectl-semguard(8)). Then nothing of this is needed.

semguard() {
    [ -x /usr/sbin/httpd-semguard ] || return 0
    # $OPTIONS holds the arguments that the script starts httpd with (-f FILE, -D NAME), if any.
    # shellcheck disable=SC2086 # several words
    /usr/sbin/httpd-semguard guard -- ${OPTIONS:-}
    [ $? -ne 69 ]
}

case "${1:-}" in
start)
    semguard || exit 69
    # … the script's own command that starts httpd …
    ;;
esac
