#!/bin/bash
# Makes sure that the Debian packages used by the tests are installed: as root, it installs the missing
# ones; otherwise it names them and the command that installs them. Their services are neither started
# nor enabled.
#
#   tests/setup.sh [PACKAGE...]     only these
#
# Exit codes: 0 everything is installed; 1 something is missing (or could not be installed).
set -euo pipefail

# The only list of them.
readonly PACKAGES=(ansible-core ansible-lint apache2 binutils cpio curl debootstrap dpkg-dev faketime
    fish groff-base icinga2-bin icinga2-common iproute2 libc6-arm64-cross libcap2-bin lintian mandoc
    nagios4-core openssl procps prometheus prometheus-node-exporter python3-apt python3-jsonschema
    python3-venv python3-yaml qemu-user rpm rpmlint shellcheck strace systemd systemd-container
    util-linux zsh)

# The services in these packages.
readonly SERVICES=(apache2 apache-htcacheclean icinga2 nagios4 prometheus
    prometheus-node-exporter)

[ $# -gt 0 ] || set -- "${PACKAGES[@]}"
missing=()
for package; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0
# Nagios requires a mail server. If there is none, install one that is not a service.
if [[ " ${missing[*]} " == *" nagios4-core "* ]] && ! [ -e /usr/sbin/sendmail ]; then
    missing+=(msmtp-mta)
fi

command="apt-get install --no-install-recommends ${missing[*]}"
if ! [ -x /usr/bin/apt-get ]; then
    echo "setup: the tests use programs from these Debian packages: ${missing[*]}" >&2
    echo "setup: this system has no apt-get; install the equivalent packages by hand" >&2
    exit 1
elif [ "$(id -u)" -ne 0 ]; then
    echo "setup: missing: ${missing[*]}" >&2
    echo "setup: to install them (as root):  $command" >&2
    exit 1
fi

echo "setup: installing ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive

# dpkg's scripts ask policy-rc.d whether they may start a service (deb-systemd-invoke(1p),
# invoke-rc.d(8)). If the administrator has one, it is covered meanwhile, in a mount namespace.
policy=/usr/sbin/policy-rc.d
deny=$(mktemp $policy.XXXXXX)
trap 'rm -f "$deny"' EXIT
printf '#!/bin/sh\nexit 101\n' >"$deny"
chmod 755 "$deny"
if [ -e $policy ]; then
    # shellcheck disable=SC2016 # for the inner shell
    quietly=(unshare --mount sh -c 'mount --bind "$0" "$1" && shift && exec "$@"' "$deny" "$policy")
else
    trap 'rm -f "$deny" $policy' EXIT
    cp -p "$deny" $policy
    quietly=()
fi

# Services that existed before are left to the administrator.
new=()
for service in "${SERVICES[@]}"; do
    [ -e "/etc/init.d/$service" ] || [ -e "/lib/systemd/system/$service.service" ] || new+=("$service")
done

apt-get -q update >&2
"${quietly[@]}" apt-get -qy install --no-install-recommends "${missing[@]}" >&2

for service in ${new[@]+"${new[@]}"}; do
    [ ! -e "/etc/init.d/$service" ] || update-rc.d "$service" disable >/dev/null
    [ ! -x /usr/bin/systemctl ] || systemctl --quiet disable "$service" 2>/dev/null || true
done
