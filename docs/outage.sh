#!/bin/bash
# Makes docs/outage.md and the terminal texts of the pictures (docs/outage/*.ansi): plays two
# outages with the Apache of this machine and writes down what is typed and what comes back. Every
# block of output is that of a run, and the page fails to be made if a run does not go as it tells.
# All of it happens in namespaces of its own; nothing outside them is touched but the directory.
#
#   make outage                             builds first, and makes the pictures as well
#   SEMGUARD=PROGRAM docs/outage.sh DIR     writes DIR/outage.md and DIR/outage/*.ansi
#   docs/outage.sh --placeholders <FILE     the same text without what differs from run to run and
#                                           from machine to machine, to compare two of them
#
# Exit: 0 made; 1 something did not go as told; 77 this machine cannot run it.
set -euo pipefail

if [ "${1:-}" != --inside ]; then # in there it stands before this script
    SELF=$(readlink -e "$0")
    STORY=${SELF%/*}/story.sh
    # shellcheck source=/dev/null
    . "$STORY"
fi
export TELLER=outage

readonly COLUMNS=120 # of the terminal, and of docs/picture.rs
readonly PROMPT=$'\e[1;32mroot@web1\e[0m:\e[1;34m~\e[0m# '

# ---- what differs from run to run --------------------------------------------------------------

# Numbers of processes and sets, ages, times, versions; and the spaces that align them.
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
        echo "outage: it takes root and Debian's apache2" >&2
        exit "$NOT_HERE"
    fi
    if ! why=$("${ENTER[@]}" mount -t tmpfs outage /run 2>&1); then
        echo "outage: root may not make namespaces here: ${why:-unshare failed}" >&2
        exit "$NOT_HERE"
    fi
    mkdir -p "$dir/outage"
    MADE=$(mktemp -d "$dir/outage/.made.XXXXXX")
    trap 'rm -rf "$MADE"' EXIT
    # Each part in a world of its own. The files are opened out here: inside, another file system
    # may cover their directory.
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

# ---- inside: writing down ----------------------------------------------------------------------

# The file of the picture that the command last run goes into.
PICTURE=/dev/null

open_block() { printf '```\n'; }
close_block() { printf '```\n\n'; }

# Runs what would be typed, and writes that and what it says into the page. The guard gets a
# terminal: what it writes there in colour goes into the picture, without colour into the page.
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

Both were written down by administrators who met them: a table that is full, and a kernel that has no
such table. Here they are played again with Debian's Apache, prefork with two `Listen` lines and
`Mutex sysvsem default`, which is what older systems have without saying so. All output is that of real
runs; of many lines that differ in numbers only, three are shown.

## 1. No space left on device

A line in `/etc/sysctl.d` was meant to say `250 32000 32 512`. Its first space got lost:

MD
    set_limits "$LIMITS"
    open_block
    run 'cat /etc/sysctl.d/60-sem.conf'
    run 'ipcs -ls'
    must_say 'max semaphores system wide = 32'
    close_block
    cat <<'MD'
Each number has moved one place to the left. The whole system now has room for 32 semaphores, and
nothing complains: httpd needs one.

Then httpd is killed, again and again: by the kernel when memory runs out, by a watchdog, by systemd
when a stop takes too long. A killed httpd cannot remove its semaphore set. After 31 kills the error log
has this of each start but the first, and the table is full:

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
The next start is refused:

MD
    exec 9>&4
    PICTURE=/dev/fd/9
    open_block
    is_refused
    close_block
    cat <<'MD'
(httpd 2.2 writes `(28)No space left on device: Couldn't create accept lock` into its error log instead.)
The disk is not full, and `df` will not help. The guard says what is:

MD
    open_block
    is_explained
    close_block
    PICTURE=/dev/null
    cat <<'MD'
That is the line httpd itself logs, the limit that is reached (not the 512 sets, which a look at the
first line of `ipcs -ls` would suggest), who holds the table, and the two cures. `check` has changed
nothing. Neither do the next two, which say of each set why it goes or stays, and what would be done:

MD
    open_block
    run 'httpd-semguard list'
    must_say '31 orphaned'
    run 'httpd-semguard guard --dry-run'
    must_exit 0
    must_say 'would remove 31 orphaned sets'
    close_block
    cat <<'MD'
It is what is wanted, so:

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
httpd runs, with one new set. The set of the other program is still there: it was none of the guard's
business. With the package installed all this happens by itself before each start.

MD
}

part_beside() {
    cat <<'MD'
### The same, with a second httpd that lives

On this machine a second Apache, the shop, runs under the same user, and is well. The first one has been
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
Both answer, and nobody had to be stopped. The kernel does not note who made a set, and the maker of a
healthy httpd's sets may be dead. But whoever can use a set holds its number, and the numbers of the
thirty stood in nobody's memory. The shop's set is in use, which decides before any memory is read:

MD
    open_block
    run "httpd-semguard list --explain $(ipcs -s | awk '/www-data/ { print $2; exit }')"
    must_exit 0
    close_block
    cat <<'MD'
The lasting cure is to write the line as it was meant:

MD
    open_block
    run "echo 'kernel.sem = 250 32000 32 512' >/etc/sysctl.d/60-sem.conf"
    run 'sysctl -p /etc/sysctl.d/60-sem.conf'
    must_say 'kernel.sem = 250 32000 32 512'
    close_block
    cat <<'MD'
And the loop that is found on the web for this outage? It takes every set of the user:

MD
    open_block
    # shellcheck disable=SC2016 # for the shell that runs it
    run 'for i in $(ipcs -s | awk '\''/www-data/ {print $2}'\''); do ipcrm -s $i; done'
    must_exit 0
    # A request, or at the latest the parent's next look, lets them notice.
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
The shop, which nothing was wrong with, is down, and so is the other one.

MD
}

part_without() {
    cat <<'MD'
## 2. Function not implemented

A kernel may be built without System V IPC (`CONFIG_SYSVIPC`). No such kernel was at hand: here strace
makes httpd and the guard see one, by answering their `semget` and `semctl` with ENOSYS.

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
(httpd 2.2: `(38)Function not implemented: Couldn't create accept lock`.) The lasting cure is a kernel built
with `CONFIG_SYSVIPC=y`. Where the configuration names another mechanism, httpd needs no such kernel, and the guard
does not stop it.

### A look at the table

With a usual kernel and httpd off, the table has no set of its user:

MD
    open_block
    run 'cat /proc/sysvipc/sem'
    run 'httpd-semguard list'
    must_say '0 semaphore sets of the guarded users'
    close_block
    cat <<'MD'
With httpd on there is one. Its `uid` is that of the configured `User`:

MD
    open_block
    starts
    # Both workers have come to rest, one with the lock, one waiting for it.
    # shellcheck disable=SC2016 # for the inner shell
    until_true sh -c 'ipcs -s -i "$(ipcs -s | awk "/www-data/ { print \$2 }")" | grep -q "^0  *0  *1 "'
    run 'cat /proc/sysvipc/sem'
    run 'httpd-semguard list'
    must_say 'in use'
    run 'httpd-semguard check'
    must_exit 0
    close_block
    cat <<'MD'
How full the table is says `ipcs -us`, and what it holds at most `ipcs -ls`. When it is full, httpd fails
with "No space left on device": see above.
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
