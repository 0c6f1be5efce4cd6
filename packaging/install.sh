#!/bin/sh
# Installs httpd-semguard and everything that belongs to it, or uninstalls it. In the archive of a
# release, this script is next to the program; in the sources, "make install" and "make uninstall" call
# it.
#
#   install.sh [install|uninstall] [NAME=VALUE ...]
#
# PREFIX     /usr/local; the other directories follow it: SBINDIR LIBEXECDIR DATADIR MANDIR DOCDIR
#            UNITDIR BASHDIR ZSHDIR FISHDIR
# SETTINGS   /etc/default/httpd-semguard; an existing file is kept, also by uninstall
# METRICS    the file that the metrics timer writes, if it is enabled
# UNITS      the units that get a drop-in; one for a unit that does not exist does no harm
# DESTDIR    a directory to install below, for packages; then this machine is not examined
# PROGRAM, COMPLETIONS
#            the program, and the directory with the shell completions
#
# Starts and enables nothing. If systemd is running, it is told to reload its units.
set -eu
umask 022

what=install
for word in "$@"; do
    case $word in
    install | uninstall) what=$word ;;
    [A-Z]*=*) export "${word?}" ;;
    *)
        echo "usage: install.sh [install|uninstall] [NAME=VALUE ...]" >&2
        exit 64
        ;;
    esac
done

here=$(cd "$(dirname "$0")" && pwd)
[ -d "$here/systemd" ] || here=${here%/*}
cd "$here"

DESTDIR=${DESTDIR:-}
PREFIX=${PREFIX:-/usr/local}
SBINDIR=${SBINDIR:-$PREFIX/sbin}
LIBEXECDIR=${LIBEXECDIR:-$PREFIX/libexec}
DATADIR=${DATADIR:-$PREFIX/share}
MANDIR=${MANDIR:-$DATADIR/man}
DOCDIR=${DOCDIR:-$DATADIR/doc/httpd-semguard}
UNITDIR=${UNITDIR:-$PREFIX/lib/systemd/system}
BASHDIR=${BASHDIR:-$DATADIR/bash-completion/completions}
ZSHDIR=${ZSHDIR:-$DATADIR/zsh/site-functions}
FISHDIR=${FISHDIR:-$DATADIR/fish/vendor_completions.d}
SETTINGS=${SETTINGS:-/etc/default/httpd-semguard}
METRICS=${METRICS:-/var/lib/prometheus/node-exporter/httpd-semguard.prom}
# What the program saves between runs; the path is fixed.
STATE=/var/lib/httpd-semguard
WANTS=/etc/systemd/system/timers.target.wants
UNITS=${UNITS:-apache2 apache2@ httpd httpd@ httpd24-httpd}
PROGRAM=${PROGRAM:-./httpd-semguard}
COMPLETIONS=${COMPLETIONS:-completions}
INSTALL=${INSTALL:-install}

# All files except the settings: MODE|SOURCE|DESTINATION.
files() {
    echo "755|$PROGRAM|$SBINDIR/httpd-semguard"
    echo "755|packaging/apachectl/apachectl-semguard|$SBINDIR/apachectl-semguard"
    echo "755|packaging/after-httpd|$LIBEXECDIR/httpd-semguard/after-httpd"
    for unit in $UNITS; do
        file=$unit.service.d/20-semguard.conf
        echo "644|systemd/$file|$UNITDIR/$file"
    done
    for file in systemd/httpd-semguard-* systemd/httpd-semguard-*.d/*; do
        [ ! -f "$file" ] || echo "644|$file|$UNITDIR/${file#systemd/}"
    done
    for file in man/*.8; do
        echo "644|$file|$MANDIR/man8/${file##*/}"
    done
    for file in README.md docs/install.md docs/monitoring.md docs/mutexes.md docs/systemd.md; do
        echo "644|$file|$DOCDIR/$file"
    done
    for file in packaging/examples/* packaging/nagios/* \
        packaging/prometheus/httpd-semguard.rules.yml; do
        echo "644|$file|$DOCDIR/examples/${file##*/}"
    done
    echo "644|packaging/schema/report-1.schema.json|$DATADIR/httpd-semguard/report-1.schema.json"
    for name in httpd-semguard apachectl-semguard; do
        for file in "$BASHDIR/$name" "$ZSHDIR/_$name" "$FISHDIR/$name.fish"; do
            [ "$what" = uninstall ] || [ -e "$COMPLETIONS/${file##*/}" ] || continue
            echo "644|$COMPLETIONS/${file##*/}|$file"
        done
    done
}

say() {
    echo "install.sh: $*"
}

reload() {
    if [ -z "$DESTDIR" ] && [ -d /run/systemd/system ]; then
        systemctl --system daemon-reload || true
    fi
}

# The httpd units on this machine.
units() {
    for unit in $UNITS; do
        for dir in /etc /run /usr/local/lib /usr/lib /lib; do
            [ ! -e "$dir/systemd/system/$unit.service" ] || { echo "$unit.service"; break; }
        done
    done
}

# The metrics timers that have been enabled for instances.
instances() {
    for link in "$DESTDIR$WANTS"/httpd-semguard-metrics@*.timer; do
        [ ! -h "$link" ] || echo "${link##*/}"
    done
}

if [ "$what" = uninstall ]; then
    if [ -z "$DESTDIR" ] && [ -d /run/systemd/system ]; then
        systemctl --quiet --now disable httpd-semguard-metrics.timer 2>/dev/null || true
        instances | while read -r timer; do
            systemctl --quiet --now disable "$timer" 2>/dev/null || true
        done
    fi
    files | while IFS='|' read -r _ _ to; do
        rm -f "$DESTDIR$to"
        # Directories of drop-ins and those with our name are removed if they are empty.
        case $to in
        *.service.d/* | */httpd-semguard/*) rmdir "$DESTDIR${to%/*}" 2>/dev/null || true ;;
        esac
    done
    rmdir "$DESTDIR$DOCDIR" 2>/dev/null || true
    rm -f "$DESTDIR$STATE/starts.json"
    rmdir "$DESTDIR$STATE" 2>/dev/null || true
    # The files written by the timers are removed, too: their age would raise an alert.
    rm -f "$DESTDIR$WANTS/httpd-semguard-metrics.timer" "$DESTDIR$WANTS"/httpd-semguard-metrics@*.timer \
        "$DESTDIR$METRICS" "$DESTDIR${METRICS%.prom}"-*.prom
    reload
    exit
fi

if [ ! -e "$PROGRAM" ]; then
    say "$PROGRAM was not found; in the sources, run make build" >&2
    exit 1
fi
if [ -z "$DESTDIR" ] && ! said=$("$PROGRAM" --version 2>&1); then
    say "this program does not run here: $said" >&2
    say "use the archive for $(uname -m), which needs glibc 2.17 or newer; nothing was changed" >&2
    exit 1
fi

files | while IFS='|' read -r mode from to; do
    "$INSTALL" -D -m "$mode" "$from" "$DESTDIR$to"
    # Files that name the program, or what belongs to it, get the actual paths.
    [ "$to" = "$SBINDIR/httpd-semguard" ] ||
        sed -i -e "s#/usr/sbin/\(httpd\|apachectl\)-semguard#$SBINDIR/\1-semguard#g" \
            -e "s|/usr/libexec/httpd-semguard|$LIBEXECDIR/httpd-semguard|g" \
            -e "s|/usr/share/httpd-semguard|$DATADIR/httpd-semguard|g" \
            -e "s|/usr/share/doc/httpd-semguard|$DOCDIR|g" \
            -e "s|/usr/lib/systemd/system/httpd-semguard|$UNITDIR/httpd-semguard|g" \
            -e "s|/var/lib/prometheus/node-exporter/httpd-semguard.prom|$METRICS|g" "$DESTDIR$to"
done
"$INSTALL" -d -m 755 "$DESTDIR$STATE"
[ -e "$DESTDIR$SETTINGS" ] || "$INSTALL" -D -m 644 packaging/httpd-semguard.default "$DESTDIR$SETTINGS"
[ -e "$COMPLETIONS/httpd-semguard" ] || say "no completions (in the sources: make completions)" >&2
reload

[ -z "$DESTDIR" ] || exit 0
found=$(units | tr '\n' ' ')
if [ -n "$found" ] && [ -d /run/systemd/system ]; then
    say "guarded from the next start on: $found"
else
    say "no httpd unit was found; without one, use $SBINDIR/apachectl-semguard start (see its manual page)"
fi
say "to check the current state: $SBINDIR/httpd-semguard check"
[ -d /run/systemd/system ] || exit 0
# A failed unit stays down until somebody starts it.
failed=$(systemctl --system list-units --state=failed --full --plain --no-legend apache2.service \
    'apache2@*.service' httpd.service 'httpd@*.service' httpd24-httpd.service 2>/dev/null |
    while read -r unit _; do printf ' %s' "${unit%.service}"; done)
[ -z "$failed" ] || say "httpd has failed and is not running; to start it: systemctl start$failed"
