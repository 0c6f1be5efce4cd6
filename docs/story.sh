#!/bin/bash
# The outage that "make demo" replays (tests/demo.sh) and docs/outage.md describes (docs/outage.sh): a
# server that is killed again and again fills the semaphore table, and the next start fails.
# httpd-semguard says why and removes the orphaned sets, and the server starts. Each part is a function
# that fails if something does not go as expected. Both scripts source this file, and provide
#
#   run COMMAND   prints a command as it would be typed, runs it, prints its output, and sets OUTPUT
#                 and CODE to its output and exit code
#   TELLER        the name to print before an error
#
# shellcheck disable=SC2034 # some variables are used only by these scripts
set -euo pipefail

readonly LIMITS='25032000 32 512 512' # "250 32000 32 512" with the first space lost
readonly NOT_HERE=77
# Where an outage is replayed: nothing outside is touched, and nothing is left behind.
readonly ENTER=(unshare --ipc --mount --net --pid --fork --kill-child --mount-proc)
readonly STAGE=/run/outage

OUTPUT='' CODE=0
# How the server is started, the guard's options for it, which limit is exhausted, and whether the
# server is Apache.
START='apachectl start' GUARDED='' BINDS=SEMMNS APACHE=1

failed() {
    printf '\n%s: FAILED: %s\n' "$TELLER" "$*" >&2
    exit 1
}

must_exit() { [ "$CODE" -eq "$1" ] || failed "exit code $CODE instead of $1: $OUTPUT"; }
must_say() { # lines wrapped by the terminal count as one
    local flat
    flat=$(tr -s ' \n' ' ' <<<"$OUTPUT")
    [[ $flat == *"$1"* ]] || failed "no \"$1\" in the output: $OUTPUT"
}
must_be() { # WHAT ACTUAL EXPECTED
    [ "$2" -eq "$3" ] || failed "$1: $2 instead of $3"
}

# Counts the sets of this user with this key; if empty, of any user, or with any key.
count() { tail -n +2 /proc/sysvipc/sem | awk -v uid="$1" -v key="$2" \
    '(uid == "" || $5 == uid) && (key == "" || $1 == key)' | wc -l; }

# Waits until a command succeeds.
until_true() {
    local _
    for _ in $(seq 500); do
        ! "$@" >/dev/null 2>&1 || return 0
        sleep 0.02
    done
    failed "timed out waiting for: $*"
}

# Of five or more lines that differ only in numbers, prints the first two and the last.
abridged() {
    awk '
        { line[NR] = $0; gsub(/\033\[[0-9;]*m/, "") }
        { gsub(/[0-9]+( (s|min|h))?/, "N"); gsub(/ +/, " "); like[NR] = $0 }
        END {
            for (i = 1; i <= NR; i = next_one) {
                for (next_one = i + 1; next_one <= NR && like[next_one] == like[i]; next_one++);
                many = next_one - i >= 5
                for (k = i; k < next_one; k++) {
                    if (!many || k < i + 2 || k == next_one - 1) print line[k]
                    else if (k == i + 2) printf "\033[2m[… %d more such lines …]\033[0m\n", next_one - i - 3
                }
            }
        }'
}

# Removes colours.
plain() { sed 's/\x1b\[[0-9;]*m//g'; }

# ---- the stage, in namespaces of its own ---------------------------------------------------------

# Sets up the directory of the guard's lock, the program (passed on fd 3) and the loopback device
# (SIOCSIFFLAGS, IFF_UP | IFF_RUNNING). The file systems disappear with the namespace.
stage_set() {
    mount -t tmpfs -o mode=755 outage /run
    mkdir -p $STAGE/bin
    cat <&3 >$STAGE/bin/httpd-semguard
    exec 3<&-
    chmod 755 $STAGE/bin/httpd-semguard
    PATH=$STAGE/bin:/usr/sbin:/usr/bin:/sbin:/bin
    perl -e 'socket(my $s, 2, 2, 0) or die "socket: $!";
        ioctl($s, 0x8914, my $r = pack("a16 s x22", "lo", 0x41)) or die "lo: $!"'
}

has_apache() { [ "$(id -u)" -eq 0 ] && [ -e /usr/lib/apache2/modules/mod_mpm_prefork.so ]; }

# A real Apache: prefork, two listeners, System V semaphores.
apache_set() {
    local dir
    for dir in /etc/apache2 /var/log/apache2 /var/www; do
        mount -t tmpfs -o mode=755 outage "$dir"
    done
    mkdir -p /run/lock /run/apache2 /var/www/html
    echo 'It works' >/var/www/html/index.html
    echo 'export LANG=C' >/etc/apache2/envvars
    configure apache2 80 8080 error.log
}

configure() { # NAME PORT PORT LOG
    cat >"/etc/apache2/$1.conf" <<CONF
ServerName localhost
ServerRoot /etc/apache2
PidFile /run/apache2/$1.pid
ErrorLog /var/log/apache2/$4
LoadModule mpm_prefork_module /usr/lib/apache2/modules/mod_mpm_prefork.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule dir_module /usr/lib/apache2/modules/mod_dir.so
StartServers 2
MinSpareServers 1
MaxRequestWorkers 2
User www-data
Group www-data
Mutex sysvsem default
Listen 127.0.0.1:$2
Listen 127.0.0.1:$3
DocumentRoot /var/www/html
CONF
}

# Sends a request, using only the shell.
answers() { # PORT
    (exec 3<>"/dev/tcp/127.0.0.1/$1" && printf 'GET / HTTP/1.0\r\n\r\n' >&3 && grep -q 'It works' <&3)
}

# ---- the story -----------------------------------------------------------------------------------

of_another_program() { perl -e 'semget(0xa7, 1, 01600) // die "semget: $!"'; }

# Whether a process group has a member that is not a zombie. A process that ends in between fails cat,
# which must not count.
has_living_members() {
    { cat /proc/[0-9]*/stat 2>/dev/null || true; } |
        awk -v group="$1" '{ sub(/.*\) /, "") } $3 == group && $1 != "Z" { found = 1 }
            END { exit !found }'
}

# Kills the whole group, as systemd does when stopping times out.
kill_server() {
    local leader file=$STAGE/server.pid
    [ ! "$APACHE" ] || file=/run/apache2/apache2.pid
    leader=$(cat "$file")
    kill -KILL -- "-$leader"
    while has_living_members "$leader"; do sleep 0.01; done
}

# Does what the first start after a boot does: advances the IDs of sets past the small numbers that
# occur in every process.
numbers_set() {
    eval "httpd-semguard guard$GUARDED --quiet" >/dev/null 2>&1 || failed "the first guard failed"
}

# Starts and kills the server this many times. It leaves a set behind each time.
start_and_kill() {
    local n before
    before=$(count '' '')
    for ((n = 1; n <= $1; n++)); do
        $START >/dev/null || failed "start $n failed"
        [ ! "$APACHE" ] || until_true answers 80
        kill_server
        must_be "sets after $n kills" "$(count '' '')" $((before + n))
    done
}

is_refused() {
    run "$START"
    must_exit 1
    must_say "(28)No space left on device: AH00023: Couldn't create the mpm-accept mutex"
}

is_explained() {
    local before
    before=$(count '' '')
    run "httpd-semguard check$GUARDED"
    must_exit 69
    must_say "(28)No space left on device: AH00023: Couldn't create the mpm-accept mutex"
    if [ $BINDS = SEMMNS ]; then
        must_say 'SEMMNS, the maximum number of semaphores, is 32, and all 32 are in use'
        must_say 'looks like "250 32000" with the space missing'
    else
        must_say 'SEMMNI, the maximum number of semaphore sets, is'
    fi
    must_be 'sets after the check' "$(count '' '')" "$before"
}

is_mended() { # THIS MANY
    local before
    before=$(count '' '')
    run "httpd-semguard guard$GUARDED"
    must_exit 0
    must_say "removed $1 orphaned sets"
    must_be 'remaining sets' "$(count '' '')" $((before - $1))
    must_be 'the set of another program' "$(count '' $((0xa7)))" 1
}

starts() {
    run "$START"
    must_exit 0
    [ ! "$APACHE" ] || until_true answers 80
}

starts_and_answers() {
    starts
    if [ "$APACHE" ] && command -v curl >/dev/null; then
        run 'curl -s http://127.0.0.1/'
        must_say 'It works'
    fi
}
