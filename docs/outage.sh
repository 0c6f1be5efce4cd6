#!/bin/bash
# Creates docs/outage.md and the terminal texts of the pictures (docs/outage/*.ansi): replays two
# outages with the Apache of this machine, and records what is typed and what is printed. All output
# in the page is from real runs. If a run does not go as the page says, no page is created.
# Everything happens in separate namespaces; only the output directory outside them is written to.
#
#   make outage                             builds first, and draws the pictures as well
#   SEMGUARD=PROGRAM docs/outage.sh DIR     writes DIR/outage.md and DIR/outage/*.ansi
#   docs/outage.sh --placeholders <FILE     prints the text without what differs from run to run and
#                                           from machine to machine, for comparing two of them
#
# Exit codes: 0 success; 1 something did not go as described; 77 this machine cannot run it.
set -euo pipefail

if [ "${1:-}" != --inside ]; then # inside, story.sh comes before this script
    SELF=$(readlink -e "$0")
    STORY=${SELF%/*}/story.sh
    # shellcheck source=/dev/null
    . "$STORY"
fi
export TELLER=outage

readonly COLUMNS=120 # of the terminal, and of docs/picture.rs
readonly PROMPT=$'\e[1;32mroot@web1\e[0m:\e[1;34m~\e[0m# '

# ---- what differs from run to run --------------------------------------------------------------

# PIDs, IDs of sets, ages, times, versions, and the spaces that align them.
placeholders() {
    local day='(Mon|Tue|Wed|Thu|Fri|Sat|Sun)' span='[0-9]+ ?(s|seconds?|min|minutes?|h|hours?|d|days?)'
    sed -E \
        -e "s/$day [A-Z][a-z]{2} [ 0-9][0-9] [0-9:.]{8,15} [0-9]{4}/TIME/g" \
        -e "s/$day, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT/TIME/g" \
        -e 's/[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9:]+)?/TIME/g' \
        -e 's/\[pid [0-9]+(:tid [0-9]+)?\]/[pid N]/g' \
        -e 's/(apache2|httpd|pid|[Cc]hild|[Pp]rocess|--explain|ipcrm -s|set) [0-9]+\b/\1 N/g' \
        -e 's/after [0-9]+ ms/after N ms/' \
        -e 's/\b[0-9]+ (\(dead\)|apache2)/N \1/g' \
        -e 's/^(0x[0-9a-f]{8} +)[0-9]+ /\1N /' \
        -e 's/^( *[0-9]+ +)[0-9]+( +600 +1 +[0-9]+ +[0-9]+ +[0-9]+ +[0-9]+) +[0-9]+ +[0-9]+$/\1N\2 N N/' \
        -e "s/^( *)[0-9]+( +(www-data|root) )/\\1N\\2/" \
        -e "s/\\b$span\\b/AGE/g" \
        -e 's/Apache\/2\.[0-9.]+( \([A-Za-z]+\))?/Apache\/VERSION/g' \
        -e 's/ +/ /g' -e 's/-{4,}/---/g'
}

# ---- outside: enter the namespaces -------------------------------------------------------------

outside() {
    local dir=${1:?name the directory to write to} program why
    program=$(readlink -e "${SEMGUARD:?name the program}")
    if ! has_apache; then
        echo "outage: this needs root and Debian's apache2" >&2
        exit "$NOT_HERE"
    fi
    if ! why=$("${ENTER[@]}" mount -t tmpfs outage /run 2>&1); then
        echo "outage: root may not make namespaces here: ${why:-unshare failed}" >&2
        exit "$NOT_HERE"
    fi
    mkdir -p "$dir/outage"
    MADE=$(mktemp -d "$dir/outage/.made.XXXXXX")
    trap 'rm -rf "$MADE"' EXIT
    # Each part has namespaces of its own. The files are opened out here, because inside another file
    # system may cover their directory.
    local part
    for part in alone beside without; do
        "${ENTER[@]}" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 TERM=xterm-256color \
            bash /dev/fd/6 --inside "$part" </dev/null \
            6< <(cat "$STORY" "$SELF") 3<"$program" \
            >>"$MADE/outage.md" 4>>"$MADE/refused.ansi" 5>>"$MADE/healed.ansi"
    done
    mv "$MADE"/*.ansi "$dir/outage"
    mv "$MADE/outage.md" "$dir"
}

is_quiet() { ! curl -s -m 5 -o /dev/null "http://127.0.0.1:$1/"; }

# ---- inside: recording -------------------------------------------------------------------------

# The picture file to which the next commands and their output are appended.
PICTURE=/dev/null

open_block() { printf '```\n'; }
close_block() { printf '```\n\n'; }

# Runs a command, and writes it and its output to the page. httpd-semguard is given a terminal; its
# coloured output goes into the picture, and without the colours into the page.
run() {
    local raw=$STAGE/raw said
    printf '# %s\n' "$1"
    CODE=0
    case $1 in
    *httpd-semguard*)
        script -qec "stty cols $COLUMNS; $1" /dev/null </dev/null >"$raw" 2>&1 || CODE=$?
        sed -i 's/\r$//; s/\x1b\[K//g' "$raw"
        ;;
    *) (eval "$1") >"$raw" 2>&1 </dev/null || CODE=$? ;;
    esac
    said=$(sed 's/ *$//' "$raw" | abridged)
    OUTPUT=$(plain <<<"$said")
    [ -z "$OUTPUT" ] || printf '%s\n' "$OUTPUT"
    printf '%s\e[1m%s\e[0m\n' "$PROMPT" "$1" >>"$PICTURE"
    [ -z "$said" ] || printf '%s\n' "$said" >>"$PICTURE"
    if [[ $1 == *httpd-semguard* && $CODE -ne 0 ]]; then
        printf '# echo $?\n%s\n' "$CODE"
    fi
}

set_limits() {
    echo "kernel.sem = $1" >/etc/sysctl.d/60-sem.conf
    sysctl -qp /etc/sysctl.d/60-sem.conf
}

# ---- the page ----------------------------------------------------------------------------------

part_alone() {
    cat <<'MD'
<!-- Made by "make outage" (docs/outage.sh) from real runs. Do not edit: change the script. -->

# Two outages, replayed

Administrators have reported both of these outages: a semaphore table that is full, and a kernel that has
no such table. They are replayed here with Debian's Apache, using the prefork MPM, two `Listen` lines and
`Mutex sysvsem default`, which is the default on older systems. All output is from real runs. Where many
lines differ only in their numbers, three are shown.

## 1. No space left on device

A line in `/etc/sysctl.d` was supposed to read `250 32000 32 512`, but the first space is missing:

MD
    set_limits "$LIMITS"
    open_block
    run 'cat /etc/sysctl.d/60-sem.conf'
    run 'ipcs -ls'
    must_say 'max semaphores system wide = 32'
    close_block
    cat <<'MD'
Every number after it has moved one place to the left. The whole system now has room for 32 semaphores.
Nobody notices, because httpd needs only one.

Then httpd is killed again and again: by the kernel when memory runs out, by a watchdog, by systemd when
stopping takes too long. An httpd that is killed cannot remove its semaphore set. After 31 kills, the error
log has this line for every start but the first, and the table is full:

MD
    start_and_kill 31
    open_block
    run 'grep AH00098 /var/log/apache2/error.log'
    must_say 'Unclean shutdown of previous Apache run?'
    run 'ipcs -s'
    must_say 'www-data'
    run 'ipcs -us'
    must_say 'allocated semaphores = 32'
    close_block
    cat <<'MD'
The next start fails:

MD
    exec 9>&4
    PICTURE=/dev/fd/9
    open_block
    is_refused
    close_block
    cat <<'MD'
(httpd 2.2 logs `(28)No space left on device: Couldn't create accept lock` instead.) No disk is full, so
`df` does not help. httpd-semguard shows what is full:

MD
    open_block
    is_explained
    close_block
    PICTURE=/dev/null
    cat <<'MD'
The output contains the line that httpd itself logs, the limit that has been reached (not the 512 sets that
the first line of `ipcs -ls` suggests), who is using the table, and two solutions. `check` has not removed
anything. Neither do the next two commands, which show for each set why it is removed or kept, and what
would be done:

MD
    open_block
    run 'httpd-semguard list'
    must_say '31 orphaned'
    run 'httpd-semguard guard --dry-run'
    must_exit 0
    must_say 'would remove 31 orphaned sets'
    close_block
    cat <<'MD'
This is what we want, so we go ahead:

MD
    exec 9>&5
    PICTURE=/dev/fd/9
    open_block
    is_mended 31
    starts_and_answers
    run 'ipcs -s'
    must_say '0x000000a7'
    close_block
    PICTURE=/dev/null
    cat <<'MD'
httpd is running and has one new set. The set of the other program is still there, because it does not
belong to httpd. With the package installed, all this happens automatically before each start.

MD
}

part_beside() {
    cat <<'MD'
### The same, with a second httpd running

On this machine, a second Apache, the shop, runs as the same user and is healthy. The first one has been
killed until the table was full.

MD
    set_limits "$LIMITS"
    numbers_set
    configure shop 81 8081 shop.log
    apachectl -f /etc/apache2/shop.conf -k start
    until_true answers 81
    start_and_kill 30
    open_block
    is_refused
    run 'httpd-semguard guard'
    must_exit 0
    must_say 'removed 30 orphaned sets'
    starts
    run 'curl -s http://127.0.0.1/ http://127.0.0.1:81/'
    must_exit 0
    run 'httpd-semguard list'
    must_say '0 orphaned'
    close_block
    cat <<'MD'
Both servers answer, and neither had to be stopped. The kernel does not record which process created a set,
and the process that created the sets of a healthy httpd may have exited. But a process that can use a set
has the set's ID in its memory, and the IDs of these thirty sets were not in the memory of any process. The
shop's set is in use right now, so it is kept before any memory is read:

MD
    open_block
    run "httpd-semguard list --explain $(ipcs -s | awk '/www-data/ { print $2; exit }')"
    must_exit 0
    close_block
    cat <<'MD'
The permanent solution is to correct the line:

MD
    open_block
    run "echo 'kernel.sem = 250 32000 32 512' >/etc/sysctl.d/60-sem.conf"
    run 'sysctl -p /etc/sysctl.d/60-sem.conf'
    must_say 'kernel.sem = 250 32000 32 512'
    close_block
    cat <<'MD'
And the loop that the web recommends for this outage? It removes every set of the user:

MD
    open_block
    # shellcheck disable=SC2016 # for the shell that runs it
    run 'for i in $(ipcs -s | awk '\''/www-data/ {print $2}'\''); do ipcrm -s $i; done'
    must_exit 0
    # They notice upon a request, or at the latest when the parent next checks its workers.
    curl -s -m 5 -o /dev/null http://127.0.0.1:81/ http://127.0.0.1/ || true
    until_true is_quiet 81
    until_true is_quiet 80
    until_true grep AH02818 /var/log/apache2/shop.log
    run "grep -E 'AH00144|AH00050|AH02818' /var/log/apache2/shop.log"
    must_say "(43)Identifier removed: AH00144: couldn't grab the accept mutex"
    must_say 'Apache is exiting!'
    run 'curl -sS http://127.0.0.1:81/'
    must_exit 7
    close_block
    cat <<'MD'
The shop, which had no problem at all, is down, and so is the other server.

MD
}

part_without() {
    cat <<'MD'
## 2. Function not implemented

A kernel can be built without System V IPC (`CONFIG_SYSVIPC`). No such kernel was available, so strace
simulates one for httpd and httpd-semguard: it makes their `semget` and `semctl` calls fail with ENOSYS.

MD
    sysctl -qw kernel.sem='250 32000 32 512'
    local enosys='strace -f -qq -o /dev/null -e inject=semget,semctl:error=ENOSYS'
    open_block
    run "$enosys apachectl start"
    must_exit 1
    must_say "(38)Function not implemented: AH00023: Couldn't create the mpm-accept mutex"
    run "$enosys httpd-semguard check"
    must_exit 69
    must_say "(38)Function not implemented: AH00023: Couldn't create the mpm-accept mutex"
    must_say 'CONFIG_SYSVIPC=y'
    close_block
    cat <<'MD'
(httpd 2.2 logs `(38)Function not implemented: Couldn't create accept lock`.) The permanent solution is a
kernel built with `CONFIG_SYSVIPC=y`. If the configuration selects a different mechanism, httpd does not need
such a kernel, and httpd-semguard does not keep it from starting.

### A look at the table

With an ordinary kernel and httpd stopped, the table contains no set of httpd's user:

MD
    open_block
    run 'cat /proc/sysvipc/sem'
    run 'httpd-semguard list'
    must_say '0 semaphore sets of the guarded users'
    close_block
    cat <<'MD'
With httpd running, there is one. Its `uid` is that of the configured `User`:

MD
    open_block
    starts
    # Wait until both workers are idle: one holds the lock, the other is waiting for it.
    # shellcheck disable=SC2016 # for the inner shell
    until_true sh -c 'ipcs -s -i "$(ipcs -s | awk "/www-data/ { print \$2 }")" | grep -q "^0  *0  *1 "'
    run 'cat /proc/sysvipc/sem'
    run 'httpd-semguard list'
    must_say 'in use'
    run 'httpd-semguard check'
    must_exit 0
    close_block
    cat <<'MD'
`ipcs -us` shows how full the table is, and `ipcs -ls` shows its limits. When it is full, httpd fails with
"No space left on device", as shown above.
MD
}

inside() {
    cd /
    stage_set
    mount -t tmpfs -o mode=755 outage /etc/sysctl.d
    apache_set
    of_another_program
    "part_$1"
}

case "${1:-}" in
--placeholders) placeholders ;;
--inside) inside "$2" ;;
*) outside "$@" ;;
esac
