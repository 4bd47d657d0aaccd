#!/bin/sh
# Make the environments of the real az that the end-to-end tests drive: .cache/az-2.91 and
# .cache/az-2.66, each from its own hashed requirements. Does nothing where they are up to date.
# Needs .venv, which tools/bootstrap.sh makes.
set -eu
cd "$(dirname "$0")/.."
root=$(pwd)
UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-true} # as in tools/bootstrap.sh
export UV_SYSTEM_CERTS
mkdir -p .cache
exec 9>.cache/az.lock
flock 9

make_environment() {
    version=$1
    folder=".cache/az-$version"
    stamp="$folder/.landbridge-stamp"
    # The path is part of it: an environment does not survive being moved.
    wanted=$({ echo "$root"; cat "requirements/az-$version.txt"; } | sha256sum)
    if [ -x "$folder/bin/az" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
        return
    fi
    echo "az $version: installing into $folder"
    rm -rf "$folder"
    .venv/bin/uv venv --quiet --python .venv/bin/python "$folder"
    .venv/bin/uv pip sync --quiet --python "$folder/bin/python" --require-hashes "requirements/az-$version.txt"
    echo "$wanted" >"$stamp"
}

make_environment 2.91
make_environment 2.66
