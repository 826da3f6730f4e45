#!/bin/sh
# Installs netsky for this user, or upgrades it; safe to run twice. Needs Python 3.11 or later with venv.
#
#   deploy/install.sh                 this checkout
#   deploy/install.sh WHEEL           a wheel, by path or URL
#
# Each installation is a folder of its own under ~/.local/share/netsky (or NETSKY_PREFIX). ~/.local/bin/netsky leads to
# the one in use, and is moved to a new one only after that one has answered `netsky --version`. The one before it
# stays, for a node that still runs from it; those before that are removed. No home of a node is touched.
set -eu

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $1"; say "  next: $2"; exit 1; }

[ $# -le 1 ] || die "one wheel at most" "deploy/install.sh WHEEL"
case "${1:-}" in -*) die "no option $1" "deploy/install.sh, or deploy/install.sh WHEEL" ;; esac
[ -n "${HOME:-}" ] || die "HOME is not set" "set it and run this again"

source=${1:-}
checkout=
if [ -z "$source" ]; then
    checkout=$(cd "$(dirname "$0")/.." 2>/dev/null && pwd) || checkout=
    grep -q '^name = "netsky-mesh"' "$checkout/pyproject.toml" 2>/dev/null \
        || die "this script does not lie in a checkout, so it must be told what to install" "install.sh WHEEL"
else
    case $source in
        http://*) die "a wheel over http can be changed on its way" "the same by https://, or download it and check it" ;;
        https://*) ;;
        *)  [ -f "$source" ] || die "there is no file $source" "name a wheel that is there"
            source=$(cd "$(dirname "$source")" && pwd)/$(basename "$source") ;;
    esac
fi

python=
for candidate in "${NETSKY_PYTHON:-}" python3 python3.13 python3.12 python3.11 python3.14; do
    [ -n "$candidate" ] || continue
    found=$(command -v "$candidate" 2>/dev/null) || continue
    if "$found" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$found; break; fi
done
[ -n "$python" ] || die "no Python 3.11 or later was found on the PATH" \
    "install one, or set NETSKY_PYTHON to its path, and run this again"

prefix=${NETSKY_PREFIX:-$HOME/.local/share/netsky}
link=$HOME/.local/bin/netsky
mkdir -p "$prefix" "$HOME/.local/bin"
prefix=$(cd "$prefix" && pwd)

# What is in use now, if it is one of ours.
present=
if [ -L "$link" ]; then
    target=$(readlink "$link")
    case $target in
        "$prefix"/venv-*/bin/netsky) present=${target%/bin/netsky} ;;
        *) die "$link leads to $target, which this script did not install" "look at it, and remove the link" ;;
    esac
elif [ -e "$link" ]; then
    die "$link is there and was not made by this script" "look at it, and move it away"
fi

mark="$("$python" -c 'import sys; print(sys.version, sys.base_prefix)')"
[ -f "$source" ] && mark="$mark $(basename "$source") $(cksum < "$source")" || mark="$mark unknown"
if [ -f "$source" ] && [ -n "$present" ] && [ "$(cat "$present/netsky-source" 2>/dev/null)" = "$mark" ] \
    && version=$("$link" --version 2>/dev/null); then
    say "$version is installed already, from this very wheel: $link"
    exit 0
fi

new=$prefix/venv-$(date +%Y%m%d%H%M%S)-$$
mkdir "$new"
trap 'rm -rf "$new"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
say "installing into $new with $("$python" --version) ..."
"$python" -m venv "$new" \
    || die "$python cannot make a virtual environment" "install its venv module (Debian: apt-get install python3-venv)"
pip() { "$new/bin/python" -m pip --disable-pip-version-check install --quiet "$@"; }
if [ -n "$checkout" ]; then
    cd "$checkout"
    pip --require-hashes -r requirements.lock && pip --no-deps --no-build-isolation . \
        || die "this checkout could not be installed" "check the network and the package index that pip uses, run this again"
else
    pip "$source" \
        || die "$source could not be installed" "check the network and the package index that pip uses, and run this again"
fi
printf '%s\n' "$mark" > "$new/netsky-source"
version=$("$new/bin/netsky" --version) \
    || die "what was just installed does not start; nothing was changed" "run $new/bin/netsky --version of another wheel"

# From here on the new one is in use: the link is replaced in one step, and what is older than the last one goes.
trap - EXIT INT TERM HUP # the link may lead to it in a moment: nothing removes it any more
"$new/bin/python" - "$new/bin/netsky" "$link" <<'END' || die "$link could not be set" "look at that folder, run this again"
import os, sys
target, link = sys.argv[1:]
beside = f"{link}.{os.getpid()}"
os.symlink(target, beside)
os.replace(beside, link)
END
older=$(readlink "$prefix/before" 2>/dev/null || true)
if [ -n "$present" ]; then
    rm -f "$prefix/before"
    ln -s "$present" "$prefix/before"
    case $older in "$present") ;; "$prefix"/venv-*) rm -rf "$older" ;; esac
fi

say "$version is installed: $link"
case ":${PATH:-}:" in
    *":$HOME/.local/bin:"*) ;;
    *) say "  next: export PATH=\"\$HOME/.local/bin:\$PATH\", here and in the start file of your shell" ;;
esac
if [ -n "$present" ]; then
    say "  next: netsky restart, where a node runs: it still is the one from before"
else
    say "  next: netsky init, then netsky up; to have the node at every login: netsky service install"
fi
