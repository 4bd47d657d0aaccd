#!/bin/sh
# Make the environments of the real clients that the tests drive, below .cache/, each from its own
# hashed requirements: two versions of az, two sets of Azure's SDKs for Python, schemathesis,
# Azure's SDKs for Node, and axe, which examines pages. Does nothing where they are up to date.
# Needs .venv, which tools/bootstrap.sh makes; what is for Node is left out where there is no
# node and npm, and the tests that need it say so.
set -eu
cd "$(dirname "$0")/.."
root=$(pwd)
UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-true} # as in tools/bootstrap.sh
export UV_SYSTEM_CERTS
mkdir -p .cache
exec 9>.cache/az.lock
flock 9

# Whether a folder was made from what it would be made from now. The path is part of it: an
# environment does not survive being moved.
is_current() {
    folder=$1
    shift
    wanted=$({ echo "$root" "$(.venv/bin/python -V)"; cat "$@"; } | sha256sum)
    [ "$(cat "$folder/.landbridge-stamp" 2>/dev/null)" = "$wanted" ]
}

make_environment() {
    name=$1
    folder=".cache/$name"
    if is_current "$folder" "requirements/$name.txt" && [ -x "$folder/bin/python" ]; then return; fi
    echo "$name: installing into $folder"
    rm -rf "$folder"
    .venv/bin/uv venv --quiet --python .venv/bin/python "$folder"
    .venv/bin/uv pip sync --quiet --python "$folder/bin/python" --require-hashes "requirements/$name.txt"
    echo "$wanted" >"$folder/.landbridge-stamp"
}

# npm checks the hashes of package-lock.json, and runs no script of any package.
make_node_environment() {
    name=$1
    folder=.cache/$name
    if ! command -v node >/dev/null 2>&1 || ! command -v npm >/dev/null 2>&1; then
        echo "$name: left out, there is no node and npm (Debian: apt-get install nodejs npm)"
        return
    fi
    if is_current "$folder" "requirements/$name/package.json" "requirements/$name/package-lock.json"; then return; fi
    echo "$name: installing into $folder"
    rm -rf "$folder"
    mkdir -p "$folder"
    cp "requirements/$name/package.json" "requirements/$name/package-lock.json" "$folder"
    npm ci --prefix "$folder" --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
    echo "$wanted" >"$folder/.landbridge-stamp"
}

make_environment az-2.91
make_environment az-2.66
make_environment sdk-newest
make_environment sdk-pinned
make_environment schemathesis
make_node_environment sdk-node
make_node_environment axe
