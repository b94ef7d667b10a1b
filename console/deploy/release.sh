#!/bin/sh
# Makes a release in FOLDER: the product's code, compiled, its static files, and in .venv what production runs on and
# nothing else. It may be moved elsewhere afterwards. `make install` and the image's Containerfile call it.
#
#   release.sh FOLDER [PYTHON]    PYTHON: the interpreter that it will run on; default /usr/bin/python3
#   release.sh --digest           says what tells one release from another
#
# UV names an uv to install with; without it, one is fetched into a folder of its own and thrown away. LOCK names what to
# install: requirements.lock, or requirements-tracing.lock, with OpenTelemetry.
set -eu
umask 022
lock=${LOCK:-requirements.lock}
folder=$1 python=${2:-/usr/bin/python3}
source=$(cd "$(dirname "$0")/../.." && pwd)

# What is served, with the manual (docs) in it, and what the operator reads; no demo, no tests.
files() {
  tar -C "$source" -cf - --sort=name "$@" --exclude='__pycache__' --exclude='*.pyc' --exclude='console/demo' \
    manage.py console stores clusters templates static docs pyproject.toml "$lock" \
    LICENSE CHANGELOG.md SECURITY.md
}
if test "$folder" = --digest; then
  files --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=a+r | sha256sum | cut -c 1-64
  exit
fi

uv_version=$(sed -n 's/^UV := //p' "$source/Makefile")
authorities=/etc/ssl/certs/ca-certificates.crt    # this machine's, with those of a company's own; uv would take its own
test -n "${SSL_CERT_FILE-}" || ! test -e "$authorities" || export SSL_CERT_FILE=$authorities
unset PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE VIRTUAL_ENV

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "$python is older than Python 3.11, which the console needs. Say which to use: make install PYTHON=/usr/bin/python3.11" >&2
  exit 1
}
test ! -e "$folder" || { echo "$folder is there already." >&2; exit 1; }
mkdir -p "$folder"

files | tar -C "$folder" -xf - --no-same-owner --no-same-permissions

kept=
trap 'test -z "$kept" || rm -rf "$kept"' EXIT
if ! "${UV:-false}" --version >/dev/null 2>&1; then
  kept=$(mktemp -d)
  "$python" -m venv "$kept" || { echo "Install python3-venv first." >&2; exit 1; }
  "$kept/bin/python" -m pip install --quiet --disable-pip-version-check "uv==$uv_version"
  UV=$kept/bin/uv
  # uv does not read pip's settings.
  index=$("$kept/bin/python" -m pip config get global.index-url 2>/dev/null) || index=
  test -z "${PIP_INDEX_URL:-$index}" || export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-${PIP_INDEX_URL:-$index}}"
fi
"$UV" venv --quiet --relocatable --no-project --python "$python" "$folder/.venv"
UV_LINK_MODE=copy "$UV" pip sync --quiet --python "$folder/.venv/bin/python" --require-hashes --only-binary :all: \
  --compile-bytecode "$folder/$lock"

cd "$folder"
.venv/bin/python -m compileall -q -j 0 console stores clusters manage.py
STATIC_ROOT=$folder/.static .venv/bin/python manage.py collectstatic --no-input --verbosity 0
