#!/bin/sh
# Bring the clone's own .venv up to date; ./quickstart and ./test run this first.
#
#   tools/bootstrap.sh          what ./quickstart needs
#   tools/bootstrap.sh --test   also what the tests drive: rsync, tmux, ss, openssl, systemd-analyze,
#                               PostgreSQL's programs, libfaketime
#
# Needs Debian 12 (or alike) with python3 >= 3.11. What is missing comes from apt-get when run
# by root; otherwise one line says what to install. Run again it does nothing, quickly.
set -eu
cd "$(dirname "$0")/.."
root=$(pwd)

say() { echo "$*" >&2; }

fail() {
    say "$*"
    exit 1
}

# The first Python on PATH that is new enough and can make a venv with pip in it. It is the same
# file whether PATH leads to it directly, by a link, or by way of a venv made from it.
find_python() {
    probe='import ensurepip, os, sys, venv
if sys.version_info < (3, 11): sys.exit(1)
print(os.path.realpath(getattr(sys, "_base_executable", sys.executable)))'
    for candidate in python3 python3.11 python3.12 python3.13 python3.14 /usr/bin/python3; do
        if "$candidate" -c "$probe" 2>/dev/null; then return; fi
    done
}

# Debian keeps sshd and ss out of an ordinary user's PATH.
has_program() {
    command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || [ -x "/sbin/$1" ]
}

# The Debian packages that are missing, as one line; nothing when all is there.
missing_packages() {
    [ -n "$(find_python)" ] || echo python3 python3-venv
    [ -e /etc/ssl/certs/ca-certificates.crt ] || echo ca-certificates
    has_program ssh && has_program ssh-keygen || echo openssh-client
    has_program sshd || echo openssh-server
    [ "${1:-}" = "--test" ] || return 0
    has_program rsync || echo rsync
    has_program tmux || echo tmux
    has_program ss || echo iproute2
    has_program openssl || echo openssl
    has_program systemd-analyze || echo systemd
    ls /usr/lib/*/faketime/libfaketime.so.1 >/dev/null 2>&1 || echo libfaketime
    ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || echo postgresql
}

# apt-get would start a system sshd on port 22. policy-rc.d forbids that while we install, and
# the unit is left disabled, so that the next boot does not start it either.
apt_install() {
    say "Installing with apt-get: $*"
    policy=/usr/sbin/policy-rc.d
    made_policy=
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        made_policy=yes
    fi
    status=0
    log=$(mktemp)
    {
        apt-get update -q &&
            DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
    } >"$log" 2>&1 </dev/null || status=$?
    if [ -n "$made_policy" ]; then rm -f "$policy"; fi
    if [ "$status" -ne 0 ]; then tail -n 20 "$log" >&2; fi
    rm -f "$log"
    [ "$status" -eq 0 ] || fail "apt-get could not install: $*"
    case " $* " in
    *" openssh-server "*)
        if has_program systemctl; then systemctl disable ssh.service >/dev/null 2>&1 || true; fi
        ;;
    esac
    case " $* " in
    *" postgresql "*) # the tests start servers of their own
        if has_program systemctl; then systemctl disable postgresql.service >/dev/null 2>&1 || true; fi
        ;;
    esac
}

install_missing_packages() {
    missing=$(missing_packages "${1:-}" | xargs)
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" -eq 0 ] && has_program apt-get; then
        # shellcheck disable=SC2086  # a list of words
        apt_install $missing
    else
        fail "Please install these first, as root: apt-get install $missing"
    fi
}

# What .venv must have been made from. The path is part of it: a .venv does not survive a move.
environment_inputs() {
    echo "$root" "$1"
    cat requirements/dev.txt requirements/uv.txt packages/*/pyproject.toml
}

make_environment() {
    python=$1
    if ! .venv/bin/python -c '' 2>/dev/null; then
        say "Making .venv with $python"
        rm -rf .venv
        "$python" -m venv .venv
    fi
    if [ ! -x .venv/bin/uv ]; then
        say "Installing uv"
        .venv/bin/python -m pip install -qq --no-input --require-hashes -r requirements/uv.txt
    fi
    say "Installing what requirements/dev.txt lists"
    # This removes the workspace's own packages, which the next line puts back.
    .venv/bin/uv pip sync --quiet --python .venv/bin/python --require-hashes requirements/dev.txt
    set --
    for package in packages/*/; do set -- "$@" -e "$package"; done
    .venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation "$@"
}

build_proxy() {
    wanted=$(cat tools/build_sshproxy.py packages/client/src/*/*.py packages/wire/src/*/*.py | sha256sum)
    stamp=.venv/.landbridge-proxy
    if [ ! -x .venv/bin/sshProxy ] || [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
        .venv/bin/python tools/build_sshproxy.py .venv/bin/sshProxy >/dev/null
        echo "$wanted" >"$stamp"
    fi
}

install_missing_packages "${1:-}"
# uv trusts what the machine trusts, as pip does; without this only the public authorities it brings.
UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-true}
export UV_SYSTEM_CERTS
mkdir -p .cache
exec 9>.cache/bootstrap.lock # two commands at once wait for one another here
flock 9
python=$(find_python)
wanted=$(environment_inputs "$python" | sha256sum)
if [ ! -x .venv/bin/landbridge ] || [ "$(cat .venv/.landbridge-stamp 2>/dev/null)" != "$wanted" ]; then
    make_environment "$python"
    echo "$wanted" >.venv/.landbridge-stamp
fi
build_proxy
.venv/bin/python tools/build_downloads.py >/dev/null
