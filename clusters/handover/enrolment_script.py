"""The script with which a machine fetches what its node is handed, by an enrolment's token, and runs it. Pure.

It holds no secret, so anybody may have it; what it fetches does. The token comes from a file or from standard input,
and reaches the console in a header that no command line names: every user of a machine can read those.
"""

from __future__ import annotations

import shlex

from clusters.pgbackrest.root_script import MACHINE

NAME = "enrol.sh"

PYTHON = """
import ssl, sys, urllib.error, urllib.request
class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *given): return None
url, body, answer, ca = sys.argv[1:]
head = {"Authorization": "Bearer " + sys.stdin.read().strip()}
secure = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=ca or None))
try:
    with open(body, "rb") as file: asked = urllib.request.Request(url, file.read(), head)
    said = urllib.request.build_opener(Stay, secure).open(asked, timeout=60)
except urllib.error.HTTPError as error: said = error
with open(answer, "wb") as file: file.write(said.read(4194304))
print(said.code)
"""

SCRIPT = r"""
refuse() {
  echo "Storekeeper: $1 Nothing was changed." >&2
  exit 2
}

usage() {
  cat <<'END'
Usage: sh enrol.sh [--check] [--node NAME] [--replace] [--token-file FILE]
  --check            only say what would be done; ends with 1 where that is something, with 2 where it cannot be told
  --node NAME        which node this machine is, such as n1 or orders-7q4t/n1; else by the host name
  --replace          this machine takes the place of the one that was the node before
  --token-file FILE  a file with the enrolment's token; else it is read from standard input
END
}

check= node= replace= file=
while [ $# -gt 0 ]; do
  case $1 in
    --check) check=yes ;;
    --replace) replace=--replace ;;
    --node | --token-file)
      [ $# -gt 1 ] && [ -n "$2" ] || refuse "$1 wants a value."
      if [ "$1" = --node ]; then node=$2; else file=$2; fi
      shift
      ;;
    --help) usage; exit 0 ;;
    *) usage >&2; refuse "It does not know $(printf %s "$1" | LC_ALL=C tr -cd '[:print:]' | cut -c-60)." ;;
  esac
  shift
done
case $node in *[!a-z0-9/-]*) refuse "A node's name has small letters, digits and hyphens, such as n1." ;; esac
case $address in
  https://* | http://127.0.0.1[:/]* | http://localhost[:/]*) ;;
  *) refuse "$address is no HTTPS: secrets would go over it in the clear. Ask the console's operator." ;;
esac
[ "$(id -u)" = 0 ] || refuse "Run this as root."

if [ -n "$file" ]; then
  [ -r "$file" ] || refuse "$file cannot be read."
  token=$(head -c 200 "$file" | head -n 1 | tr -d ' \r\t')
else
  if [ -t 0 ]; then
    printf 'Token: ' >&2
    trap 'stty echo; exit 2' HUP INT TERM
    stty -echo
  fi
  IFS= read -r token || :
  if [ -t 0 ]; then
    stty echo
    echo >&2
  fi
  token=$(printf %s "$token" | tr -d ' \r\t')
fi
case $token in '' | *[!A-Za-z0-9_-]*) refuse "This is no token: make one in the console, Enrolment." ;; esac

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 2' HUP INT TERM
ca=
if [ -n "$authority" ]; then
  ca=$folder/ca.pem
  printf '%s\n' "$authority" > "$ca"
fi

send() { # $folder/body; prints the status of the answer, which is in $folder/answer
  if command -v curl >/dev/null; then
    curl -q -sS --max-time 60 --max-filesize 4194304 ${ca:+--cacert "$ca"} -o "$folder/answer" -w '%{http_code}' \
      --data-binary "@$folder/body" --config - "$address" <<END
header = "Authorization: Bearer $token"
END
  elif command -v wget >/dev/null; then
    printf 'header = Authorization: Bearer %s\n' "$token" > "$folder/wgetrc"
    timeout 70 wget --config="$folder/wgetrc" --no-verbose --server-response --content-on-error --max-redirect=0 \
      --timeout=60 --tries=1 ${ca:+--ca-certificate="$ca"} --post-file="$folder/body" -O "$folder/answer" "$address" \
      2> "$folder/said" || :
    status=$(sed -n 's|^ *HTTP/[0-9.]* \([0-9][0-9][0-9]\).*|\1|p' "$folder/said" | tail -n 1)
    [ -n "$status" ] || cat "$folder/said" >&2
    echo "$status"
  elif command -v python3 >/dev/null; then
    printf %s "$token" | timeout 70 python3 -c "$python" "$address" "$folder/body" "$folder/answer" "$ca"
  else
    refuse "Install curl, wget or python3: nothing here can ask the console."
  fi
}

name_of() { "$@" 2>/dev/null | LC_ALL=C tr -cd 'A-Za-z0-9.-' | cut -c-253; }

fetch() { # KIND PATH: what the console has of that kind, once it is whole
  printf 'kind=%s&node=%s&hostname=%s&fqdn=%s&machine=%s&replace=%s' "$1" "$(printf %s "$node" | sed 's|/|%2F|g')" \
    "$(name_of uname -n)" "$(name_of hostname -f)" "$(MACHINE)" "${replace:+yes}" > "$folder/body"
  rm -f "$folder/answer"
  status=$(send) || status=
  if [ "$status" != 200 ]; then
    [ ! -s "$folder/answer" ] || head -c 1000 "$folder/answer" | LC_ALL=C tr -cd '[:print:]\n' >&2
    refuse "The console answered ${status:-nothing}."
  fi
  tail -n +2 "$folder/answer" > "$2"
  [ "$(head -n 1 "$folder/answer")" = "$(sha256sum < "$2" | cut -c-64)" ] || refuse "The script did not come whole."
}

# First what only looks, and holds no secret: where all is in order, or refused, nothing else is handed out.
fetch check "$folder/check.sh"
ended=0
sh "$folder/check.sh" $replace > "$folder/plan" || ended=$?
cat "$folder/plan"
[ "$ended" != 0 ] || exit 0
grep -q '^Storekeeper: on .* it would' "$folder/plan" || exit 2
[ -z "$check" ] || exit 1
fetch setup "$folder/setup.sh"
sh "$folder/setup.sh" $replace || {
  echo "The console counts this machine as enrolled. To try again, have an owner or admin allow it once more." >&2
  exit 2
}
""".replace("$(MACHINE)", f"$({MACHINE})")


def enrolment_script(address: str, ca: str = "") -> str:
    """Return the script that asks the console there; `ca` are the certificates that its own is checked against."""
    head = [
        "#!/bin/sh",
        "# Storekeeper: fetches what this machine's node is handed, and runs it; it holds no secret. See --help.",
        "set -eu",
        "umask 077",
        f"address={shlex.quote(address)}",
        f"authority={shlex.quote(ca.strip())}",
        f"python={shlex.quote(PYTHON)}",
    ]
    return "\n".join(head) + SCRIPT


def command(address: str, sha256: str, *, own_ca: bool) -> str:
    """Return the one line that fetches that script, compares its digest, and runs it as root.

    Where the console's certificate is of a CA of one's own, the machine need not know it yet: the digest says what the
    script is, whoever delivers it, and the script brings the CA along.
    """
    options = "-fsSk" if own_ca else "-fsS"
    return (
        f'(cd "$(mktemp -d)" && curl {options} -o {NAME} {shlex.quote(address)} && '
        f'echo "{sha256}  {NAME}" | sha256sum -c --quiet && sudo sh ./{NAME})'
    )
