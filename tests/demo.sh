#!/bin/bash
# Replays an outage of httpd in namespaces of its own: the semaphore table is filled by a server
# that is killed again and again, the next start is refused, httpd-semguard says why and mends it,
# the server starts. Nothing outside those namespaces is touched, and nothing is left.
#
#   make demo                         builds first
#   SEMGUARD=PATH tests/demo.sh       with a program that is built already
#   DEMO_SERVER=stand-in make demo    never with the Apache of this machine
#   DEMO_LIMITS=keep make demo        with the kernel's own limits (what an older kernel leaves an
#                                     unprivileged user)
#
# Exit: 0 every stage went as told; 1 one did not; 77 this machine does not allow the namespaces.
set -euo pipefail

readonly SEM='25032000 32 512 512' # "250 32000 32 512" with the first space lost
readonly NO_NAMESPACES=77

# ---- outside: build, and enter the namespaces --------------------------------------------------

outside() {
    local here guard why
    here=$(dirname "$SELF")
    if [ -z "${SEMGUARD:-}" ]; then
        (cd "$here/.." && cargo build --release --locked) >&2
        SEMGUARD="${CARGO_TARGET_DIR:-$here/../target}/release/httpd-semguard"
    fi
    guard=$(readlink -e "$SEMGUARD") || {
        echo "demo: no such program: $SEMGUARD" >&2
        exit 1
    }
    local enter=(unshare --ipc --mount --net --pid --fork --kill-child --mount-proc)
    local become=()
    if [ "$(id -u)" -ne 0 ]; then
        enter+=(--user --map-root-user)
        # The guard refuses to guard root, also one who is root only in there.
        become=(unshare --user --map-user="$(id -u)" --map-group="$(id -g)")
    fi
    # shellcheck disable=SC2016 # for the inner shell
    if ! why=$("${enter[@]}" sh -c 'mount -t tmpfs demo /run && exec "$@"' - \
        "${become[@]}" true 2>&1); then
        echo "demo: cannot run here: ${why:-unshare failed}" >&2
        if [ "$(id -u)" -ne 0 ]; then
            echo "demo: this machine does not let uid $(id -u) make namespaces;" \
                "run it as root, or look at user.max_user_namespaces," \
                "kernel.unprivileged_userns_clone and" \
                "kernel.apparmor_restrict_unprivileged_userns" >&2
        else
            echo "demo: root may not make namespaces here (a container without CAP_SYS_ADMIN, a chroot?)" >&2
        fi
        exit "$NO_NAMESPACES"
    fi
    # Settings of the caller's own guard would change what is shown.
    local name
    for name in ${!HTTPD_SEMGUARD_*}; do unset "$name"; done
    exec "${enter[@]}" env LC_ALL=C "$BASH" "$SELF" --prepare "$guard" "${become[@]}"
}

# ---- between: with all rights over the namespaces, and over nothing else -----------------------

prepare() {
    # The guard's lock file, the server's files: on a file system that ends with the namespace.
    exec 4<"$1" 5<"$SELF"
    shift
    mount -t tmpfs -o mode=755 demo /run
    mkdir -p /run/demo/bin
    cd /run/demo
    cat <&4 >bin/httpd-semguard
    cat <&5 >bin/demo.sh
    exec 4<&- 5<&-
    chmod 755 bin/httpd-semguard
    loopback_up
    if [ "${DEMO_LIMITS:-}" != keep ]; then
        { echo "$SEM" >/proc/sys/kernel/sem; } 2>/dev/null || true
    fi
    exec "$@" "$BASH" bin/demo.sh --inside
}

# Brings up the loopback device (SIOCSIFFLAGS, IFF_UP | IFF_RUNNING).
loopback_up() {
    perl -e 'socket(my $s, 2, 2, 0) or die "socket: $!";
        ioctl($s, 0x8914, my $r = pack("a16 s x22", "lo", 0x41)) or die "lo: $!"'
}

# ---- inside -----------------------------------------------------------------------------------

stage() { printf '\n== %s\n' "$*"; }
say() { printf '   %s\n' "$*"; }
failed() {
    printf '\ndemo: FAILED: %s\n' "$*"
    exit 1
}

# The output and exit code of the command last shown.
OUTPUT='' CODE=0

# Shows a command as it would be typed, runs it, and shows what it says.
show() {
    printf '$ %s\n' "$*"
    CODE=0
    OUTPUT=$("$@" 2>&1) || CODE=$?
    # Of many removals the first two and the last.
    [ -z "$OUTPUT" ] || awk '
        { line[NR] = $0; removal[NR] = / removed semaphore set / }
        END {
            for (i = 1; i <= NR; i++)
                if (i > 2 && removal[i - 2] && removal[i - 1] && removal[i] && removal[i + 1]) {
                    if (!skipped++) print "[… one such line for each set …]"
                } else print line[i]
        }' <<<"$OUTPUT"
    [ "$CODE" -eq 0 ] || printf '[exit %s]\n' "$CODE"
}

must_exit() { [ "$CODE" -eq "$1" ] || failed "exit $CODE where $1 was to come"; }
must_say() { [[ $OUTPUT == *"$1"* ]] || failed "no \"$1\" in what it said"; }
count() { tail -n +2 /proc/sysvipc/sem | awk -v uid="$1" -v key="$2" \
    '(uid == "" || $5 == uid) && (key == "" || $1 == key)' | wc -l; }
expect() { # WHAT IS WANT
    [ "$2" -eq "$3" ] || failed "$1: $2 where $3 were to be"
}

# A real Apache: prefork, two listeners, System V semaphores.
apache_prepare() {
    local modules=/usr/lib/apache2/modules
    mkdir www
    echo 'Hello from the httpd that starts again.' >www/hello.txt
    cat >httpd.conf <<CONF
ServerRoot ${PWD}
ServerName localhost
DefaultRuntimeDir ${PWD}
PidFile ${PWD}/httpd.pid
ErrorLog ${PWD}/error_log
LogLevel warn mpm_prefork:notice
LoadModule mpm_prefork_module ${modules}/mod_mpm_prefork.so
LoadModule authz_core_module ${modules}/mod_authz_core.so
StartServers 2
MaxRequestWorkers 8
User www-data
Group www-data
Mutex sysvsem default
Listen 127.0.0.1:80
Listen 127.0.0.1:8080
DocumentRoot ${PWD}/www
CONF
    OWNER=$(id -u www-data)
    START=(/usr/sbin/apache2 -f "$PWD/httpd.conf" -k start)
    GUARDED=(--httpd /usr/sbin/apache2 -- -f "$PWD/httpd.conf")
}

apache_start() {
    local _
    rm -f httpd.pid
    "${START[@]}" || return
    for _ in $(seq 200); do
        ! apache_ask >/dev/null 2>&1 || return 0
        sleep 0.05
    done
    failed "httpd does not answer: $(cat error_log)"
}

# One request, by nothing but the shell.
apache_ask() {
    local line
    exec 3<>/dev/tcp/127.0.0.1/80 || return
    printf 'GET /hello.txt HTTP/1.0\r\n\r\n' >&3
    cat <&3
    exec 3>&-
}

apache_kill() {
    local leader
    leader=$(cat httpd.pid)
    # The whole group, as systemd does when its patience ends.
    kill -KILL -- "-$leader"
    while has_living_members "$leader"; do sleep 0.01; done
}

# Whether a process group has a member that is more than a zombie.
has_living_members() {
    cat /proc/[0-9]*/stat 2>/dev/null |
        awk -v group="$1" '{ sub(/.*\) /, "") } $3 == group && $1 != "Z" { found = 1 }
            END { exit !found }'
}

# A stand-in: makes its lock with the system calls of httpd (semget, SETVAL, and IPC_SET where it
# is root), says what httpd says if it cannot, and then waits.
standin_prepare() {
    cat >stand-in <<'PERL'
#!/usr/bin/perl
# stand-in UID: one accept lock for UID, then wait.
my ($uid) = @ARGV;
my $id = semget(0, 1, 01600);    # IPC_PRIVATE, IPC_CREAT | 0600
if (!defined $id) {
    my $errno = $! + 0;
    print STDERR "[emerg] ($errno)$!: AH00023: Couldn't create the mpm-accept mutex (stand-in)\n";
    exit 1;
}
semctl($id, 0, 16, 1) or die "SETVAL: $!";
if ($> == 0) {
    my $ds = '';
    semctl($id, 0, 2, $ds) or die "IPC_STAT: $!";
    substr($ds, 4, 8) = pack('LL', $uid, $uid);
    semctl($id, 0, 1, $ds) or die "IPC_SET: $!";
}
$| = 1;
print "started\n";
sleep 1 while 1;
PERL
    chmod +x stand-in
    OWNER=$(id -u)
    [ "$OWNER" -ne 0 ] || OWNER=$(id -u www-data 2>/dev/null || echo 33)
    START=(./stand-in "$OWNER")
    GUARDED=(--user "$OWNER" --no-ask --need 1)
}

standin_start() {
    local line=''
    mkfifo started
    "${START[@]}" >started &
    echo $! >stand-in.pid
    read -r line <started || true
    rm started
    [ "$line" = started ] || wait "$(cat stand-in.pid)"
}

standin_kill() {
    local pid
    pid=$(cat stand-in.pid)
    disown "$pid" # the shell would comment on its end
    kill -KILL "$pid"
    while kill -0 "$pid" 2>/dev/null; do sleep 0.01; done
}

inside() {
    PATH=/run/demo/bin:/usr/sbin:/usr/bin:/sbin:/bin
    cd /run/demo

    local server=standin
    if [ "$(id -u)" -eq 0 ] && [ "${DEMO_SERVER:-}" != stand-in ] &&
        [ -x /usr/sbin/apache2 ] && [ -e /usr/lib/apache2/modules/mod_mpm_prefork.so ]; then
        server=apache
        say "The server is the Apache of this machine:" \
            "$(/usr/sbin/apache2 -v | sed -n 's/^Server version: //p')."
    elif [ "$(id -u)" -eq 0 ]; then
        say "No Apache is used here. A stand-in makes and leaves its lock as httpd does."
    else
        say "Not root, so no Apache: a stand-in makes and leaves its lock as httpd does."
    fi
    "${server}_prepare"

    stage "1. The limits of the outage, and one semaphore set of another program"
    local left=31 binds=SEMMNS
    if [ "$(tr '\t' ' ' </proc/sys/kernel/sem)" = "$SEM" ]; then
        printf '$ sysctl -w kernel.sem="%s"\n' "$SEM"
    else
        local sets
        sets=$(awk '{ print $4 }' /proc/sys/kernel/sem)
        say "kernel.sem stays as it is: older kernels let only root set it in a namespace."
        say "So sets of another program take all but 32 of the $sets places, and SEMMNI, not" \
            "SEMMNS, will be what runs out."
        perl -e 'for (1 .. $ARGV[0]) { semget(0x1000000 + $_, 1, 01600) // die "semget: $!" }' \
            $((sets - 32))
        binds=SEMMNI
    fi
    perl -e 'semget(0xa7, 1, 01600) // die "semget: $!"'
    show ipcs -ls
    local others all
    others=$(count '' '')
    all=$((others + left))

    stage "2. The server is started and killed (SIGKILL), $left times"
    printf '$ %s; kill -KILL …\n' "${START[*]}"
    local i before
    for ((i = 1; i <= left; i++)); do
        "${server}_start" || failed "start $i was refused"
        "${server}_kill"
        before=$(count '' '')
        expect "sets after $i kills" "$before" $((others + i))
    done
    say "Each time it left a set behind. $(count "$OWNER" 0) sets of uid $OWNER are in the table now:"
    show ipcs -us

    stage "3. The next start is refused"
    if [ $server = apache ]; then
        show "${START[@]}"
        must_exit 1
    else
        printf '$ %s\n' "${START[*]}"
        CODE=0
        standin_start 2>refused || CODE=$?
        OUTPUT=$(cat refused)
        printf '%s\n[exit %s]\n' "$OUTPUT" "$CODE"
        must_exit 1
    fi
    must_say "(28)No space left on device: AH00023: Couldn't create the mpm-accept mutex"

    stage "4. What httpd-semguard says about it"
    show httpd-semguard check "${GUARDED[@]}"
    must_exit 69
    must_say "(28)No space left on device: AH00023"
    if [ $binds = SEMMNS ]; then
        must_say "SEMMNS, the system-wide number of semaphores, is 32 and 32 are in use"
        must_say 'looks like "250 32000" with the space lost'
    else
        must_say "SEMMNI, the number of semaphore sets, is"
    fi
    expect "sets after the check" "$(count '' '')" $all

    stage "5. What it does about it"
    show httpd-semguard guard "${GUARDED[@]}"
    must_exit 0
    must_say "removed $left orphaned sets"
    expect "sets of other programs" "$(count '' '')" "$others"
    expect "the set with key 0xa7" "$(count '' $((0xa7)))" 1
    say "The sets of other programs are still there."

    stage "6. The server starts"
    if [ $server = apache ]; then
        printf '$ %s\n' "${START[*]}"
        apache_start || failed "it was refused again"
        if command -v curl >/dev/null; then
            show curl -si http://127.0.0.1/hello.txt
        else
            say "A request to http://127.0.0.1/hello.txt:"
            OUTPUT=$(apache_ask)
            printf '%s\n' "$OUTPUT"
        fi
        must_say "Hello from the httpd that starts again."
    else
        printf '$ %s\n' "${START[*]}"
        standin_start || failed "it was refused again"
        say "started"
    fi
    expect "its sets" "$(count "$OWNER" 0)" 1

    stage "7. Beside the living server, the guard removes nothing"
    show httpd-semguard guard "${GUARDED[@]}"
    must_exit 0
    expect "its sets" "$(count "$OWNER" 0)" 1
    if [ $binds = SEMMNS ]; then # else it would be very long
        show httpd-semguard list "${GUARDED[@]}"
        must_exit 0
    fi
    if [ $server = apache ]; then
        apache_ask >/dev/null || failed "it answers no more"
        say "It still answers."
    fi
    "${server}_kill"
    printf '\ndemo: every stage went as told.\n'
}

SELF=$(readlink -e "$0")
case "${1:-}" in
--prepare) prepare "${@:2}" ;;
--inside) inside ;;
*) outside ;;
esac
