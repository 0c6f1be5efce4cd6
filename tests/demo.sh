#!/bin/bash
# Replays an outage of httpd (docs/story.sh) in namespaces of its own. Nothing outside these is
# touched, and nothing is left behind.
#
#   make demo                         builds first
#   SEMGUARD=PATH tests/demo.sh       uses a program that has been built already
#   DEMO_SERVER=stand-in make demo    does not use the Apache of this machine
#   DEMO_LIMITS=keep make demo        keeps the kernel's limits (as an unprivileged user must with an
#                                     older kernel)
#
# Exit codes: 0 every stage went as expected; 1 one did not; 77 this machine does not allow the
# namespaces.
set -euo pipefail

case "${1:-}" in
--prepare | --inside) ;; # inside, story.sh comes before this script
*)
    SELF=$(readlink -e "$0")
    STORY=${SELF%/*}/../docs/story.sh
    # shellcheck source=/dev/null
    . "$STORY"
    ;;
esac
export TELLER=demo

# ---- outside: build, and enter the namespaces --------------------------------------------------

outside() {
    local guard why
    if [ -z "${SEMGUARD:-}" ]; then
        cd "${SELF%/*}/.."
        cargo build --release --locked >&2
        SEMGUARD=${CARGO_TARGET_DIR:-target}/release/httpd-semguard
    fi
    guard=$(readlink -e "$SEMGUARD") || {
        echo "demo: no such program: $SEMGUARD" >&2
        exit 1
    }
    local enter=("${ENTER[@]}") become=()
    if [ "$(id -u)" -ne 0 ]; then
        enter+=(--user --map-root-user)
        # The guard refuses to guard root, even if that is root of this user namespace only.
        become=(unshare --user --map-user="$(id -u)" --map-group="$(id -g)")
    fi
    # shellcheck disable=SC2016 # for the inner shell
    if ! why=$("${enter[@]}" sh -c 'mount -t tmpfs demo /run && exec "$@"' - \
        "${become[@]}" true 2>&1); then
        echo "demo: cannot run here: ${why:-unshare failed}" >&2
        if [ "$(id -u)" -ne 0 ]; then
            echo "demo: this machine does not let uid $(id -u) create namespaces;" \
                "run this as root, or check user.max_user_namespaces," \
                "kernel.unprivileged_userns_clone and" \
                "kernel.apparmor_restrict_unprivileged_userns" >&2
        else
            echo "demo: root may not create namespaces here (a container without CAP_SYS_ADMIN, or a chroot?)" >&2
        fi
        exit "$NOT_HERE"
    fi
    # The caller's own settings would change the output.
    local name
    for name in ${!HTTPD_SEMGUARD_*}; do unset "$name"; done
    # The files are opened out here, because inside another file system may cover their directory.
    local script
    script=$(cat "$STORY" "$SELF")
    exec "${enter[@]}" env LC_ALL=C "$BASH" /dev/fd/5 --prepare "${become[@]}" \
        3<"$guard" 4<<<"$script" 5<<<"$script"
}

# ---- between: with all privileges in the namespaces, and none outside --------------------------

prepare() {
    stage_set
    cat <&4 >"$STAGE/bin/demo.sh"
    exec 4<&- 5<&-
    cd "$STAGE"
    if [ "${DEMO_LIMITS:-}" != keep ]; then
        { echo "$LIMITS" >/proc/sys/kernel/sem; } 2>/dev/null || true
    fi
    exec "$@" "$BASH" bin/demo.sh --inside
}

# ---- inside -----------------------------------------------------------------------------------

stage() { printf '\n== %s\n' "$*"; }
say() { printf '   %s\n' "$*"; }

run() {
    printf '$ %s\n' "$1"
    CODE=0
    (eval "$1") >said 2>&1 </dev/null || CODE=$?
    OUTPUT=$(abridged <said | plain)
    [ -z "$OUTPUT" ] || printf '%s\n' "$OUTPUT"
    [ "$CODE" -eq 0 ] || printf '[exit %s]\n' "$CODE"
}

# Creates its lock with the same system calls as httpd (semget, SETVAL and, as root, IPC_SET), prints
# httpd's message if it cannot, and then waits.
standin_set() {
    cat >stand-in <<'PERL'
#!/usr/bin/perl
# stand-in UID: a server that has one accept lock owned by UID, and its own process group.
use POSIX ();
my ($uid) = @ARGV;
pipe my $told, my $tell or die "pipe: $!";
if (my $pid = fork) {
    close $tell;
    my $error = <$told>;
    print STDERR $error // '';
    exit defined $error;
}
POSIX::setsid();
my $id = semget(0, 1, 01600);    # IPC_PRIVATE, IPC_CREAT | 0600
if (!defined $id) {
    my $errno = $! + 0;
    syswrite $tell, "[emerg] ($errno)$!: AH00023: Couldn't create the mpm-accept mutex (stand-in)\n";
    exit 1;
}
semctl($id, 0, 16, 1) or die "SETVAL: $!";
if ($> == 0) {
    my $ds = '';
    semctl($id, 0, 2, $ds) or die "IPC_STAT: $!";
    substr($ds, 4, 8) = pack('LL', $uid, $uid);
    semctl($id, 0, 1, $ds) or die "IPC_SET: $!";
}
open my $file, '>', 'server.pid' or die "server.pid: $!";
print $file $$;
close $_ for $file, $tell, *STDOUT, *STDERR;
sleep 1 while 1;
PERL
    chmod +x stand-in
    local owner
    owner=$(id -u)
    [ "$owner" -ne 0 ] || owner=$(id -u www-data 2>/dev/null || echo 33)
    START="./stand-in $owner" GUARDED=" --user $owner --no-ask --need 1" APACHE=
}

# If only root can set the limits: other sets take up all the room except for 32 sets.
fill_table() {
    local sets
    sets=$(awk '{ print $4 }' /proc/sys/kernel/sem)
    say "kernel.sem keeps its value: with older kernels, only root can set it in a namespace."
    say "Instead, another program takes up all but 32 of the $sets sets, and SEMMNI, not SEMMNS," \
        "will be exhausted."
    perl -e 'for (1 .. $ARGV[0]) { semget(0x1000000 + $_, 1, 01600) // die "semget: $!" }' \
        $((sets - 32))
    BINDS=SEMMNI
}

inside() {
    PATH=$STAGE/bin:/usr/sbin:/usr/bin:/sbin:/bin
    cd "$STAGE"
    if has_apache && [ "${DEMO_SERVER:-}" != stand-in ]; then
        say "The server is the Apache of this machine:" \
            "$(/usr/sbin/apache2 -v | sed -n 's/^Server version: //p')."
        apache_set
    elif [ "$(id -u)" -eq 0 ]; then
        say "No Apache is used here. A stand-in creates its lock as httpd does, and leaves it behind."
        standin_set
    else
        say "Not root, so no Apache: a stand-in creates its lock as httpd does, and leaves it behind."
        standin_set
    fi

    numbers_set

    stage "1. The limits that caused the outage, and one semaphore set of another program"
    if [ "$(tr '\t' ' ' </proc/sys/kernel/sem)" = "$LIMITS" ]; then
        printf '$ sysctl -w kernel.sem="%s"\n' "$LIMITS"
    else
        fill_table
    fi
    of_another_program
    run 'ipcs -ls'

    stage "2. The server is started and killed (SIGKILL) 31 times"
    printf '$ %s; kill -KILL …\n' "$START"
    start_and_kill 31
    say "Each time, it leaves a set behind:"
    run 'ipcs -us'

    stage "3. The next start fails"
    is_refused

    stage "4. httpd-semguard explains why"
    is_explained

    stage "5. httpd-semguard removes the orphaned sets"
    is_mended 31
    say "The sets of other programs are untouched."

    stage "6. The server starts"
    starts_and_answers

    stage "7. While the server is running, the guard removes nothing"
    local sets
    sets=$(count '' '')
    run "httpd-semguard guard$GUARDED"
    must_exit 0
    must_be "sets while the server is running" "$(count '' '')" "$sets"
    if [ "$BINDS" = SEMMNS ]; then # otherwise the list would be very long
        run "httpd-semguard list$GUARDED"
        must_exit 0
    fi
    if [ "$APACHE" ]; then
        answers 80 || failed "the server no longer answers"
        say "The server still answers."
    fi
    kill_server
    printf '\ndemo: every stage went as expected.\n'
}

case "${1:-}" in
--prepare) prepare "${@:2}" ;;
--inside) inside ;;
*) outside ;;
esac
