# Sourced by deploy/try and deploy/test: an environment of this checkout's own in .venv, made once and reused.
# Nothing outside the checkout is changed but pip's cache. Needs Python 3.11 or later with venv, and git for the tests.

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $1"; say "  next: $2"; exit 1; }

find_python() {
    local candidate
    for candidate in "${NETSKY_PYTHON:-}" python3 python3.13 python3.12 python3.11 python3.14; do
        [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 || continue
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"; return
        fi
    done
    die "no Python 3.11 or later was found on the PATH" "install one, or set NETSKY_PYTHON to its path, and run this again"
}

# prepare_environment LOCK: .venv with the locked packages and this checkout, skipped when nothing changed.
prepare_environment() {
    local lock=$1 stamp=.venv/netsky-stamp-$(basename "$1") python wanted
    python=$(find_python)
    wanted="$("$python" -c 'import sys; print(sys.version, sys.base_prefix)') $(cat requirements.lock "$lock" pyproject.toml | cksum) $PWD"
    if [ -x .venv/bin/python ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
        return
    fi
    say "preparing .venv with $("$python" --version) (once; some 20 seconds) ..."
    if [ ! -x .venv/bin/python ] || [ "$(cat .venv/netsky-stamp-*.lock 2>/dev/null | cut -d' ' -f1 | sort -u)" != "$(echo "$wanted" | cut -d' ' -f1)" ]; then
        rm -rf .venv
        "$python" -m venv .venv || die "$python cannot make a virtual environment" "install its venv module (Debian: apt-get install python3-venv) and run this again"
    fi
    .venv/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes -r "$lock" \
        || die "the locked packages could not be installed" "check the network and the package index that pip uses, and run this again"
    .venv/bin/python -m pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation --editable . \
        || die "this checkout could not be installed into .venv" "remove .venv and run this again"
    printf '%s\n' "$wanted" > "$stamp"
}
