#!/bin/sh
# Create .venv unless a working one exists, and install Gatehouse into it:  sh deploy/install.sh . | '.[dev]'
# "." installs exactly the files that deploy/requirements.txt lists with their hashes; '.[dev]' installs any versions that
# pyproject.toml allows. It needs only Python 3.11 or newer; PYTHON=… names one that is not first on PATH.
set -eu

what=$1
venv=.venv

fail() {
    echo "gatehouse: $1" >&2
    exit 1
}

is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
    for python in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if is_new_enough "$python"; then
            echo "$python"
            return
        fi
    done
    found=$("${PYTHON:-python3}" --version 2>&1) || found="none found"
    fail "needs Python 3.11 or newer (${PYTHON:-python3}: $found); name one with: make PYTHON=/path/to/python3 …"
}

if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1 || ! is_new_enough "$venv/bin/python"; then
    python=$(find_python)
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "$python cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv"
    echo "Making $venv with $("$python" --version)"
    "$python" -m venv --clear "$venv"
fi

echo "Installing $what into $venv (the first time takes about a minute)"
install() {
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
}

if [ "$what" = . ]; then
    install --require-hashes --requirement deploy/requirements.txt ||
        fail "a package of deploy/requirements.txt could not be installed; the output of pip above tells why"
    # The lock includes the build tools, so nothing is fetched without a hash.
    install --no-deps --no-build-isolation --editable .
else
    install --editable "$what"
fi
