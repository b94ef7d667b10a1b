"""Requests as no browser sends them: strange values, names, bodies and headers."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import quote_from_bytes
from uuid import UUID

from hypothesis import strategies as st

from tests.fuzz.world import World
from tests.walk import Route

MARK = "\"'><fuzz>"  # must not come back as it is


def cursor(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


NOBODY = str(UUID(int=0))
NASTY = [
    *(
        "",
        " ",
        "\x00",
        "a\x00b",
        "\ud800",
        "\udfff\ud800",
        "\x1b[31m",
        "\x7f",
        "\x85",
        "\u2028",
        "\u202etxt.exe",
        "\ufeff",
    ),
    *(
        "\r\nX-Injected: 1",
        "a\nb",
        MARK,
        "{{7*7}}",
        "{% debug %}",
        "%s%n",
        "../../../etc/passwd",
        "$(id)",
        "`id`",
        ";--",
        "' OR 1=1",
    ),
    *(
        "-1",
        "0",
        "1",
        "9" * 30,
        "9" * 5000,
        str(2**31),
        str(2**63),
        str(-(2**63) - 1),
        "1e400",
        "NaN",
        "0x10",
        "1_000",
        "٣",
        "²",
        "1.5",
    ),
    *(
        "x" * 61,
        "x" * 300,
        "x" * 70_000,
        "%" * 60_000,
        "é" * 60,
        "\U0001d160" * 60,
        "\u0958" * 60,
        "İ",
        "ẞ",
        "ß",
        "ϴ",
        "θ",
        "ǅ",
        "ﬁ",
    ),
    *(
        NOBODY,
        NOBODY.replace("-", ""),
        "{" + NOBODY + "}",
        f"urn:uuid:{NOBODY}",
        NOBODY[:-1] + "g",
        "[]",
        '{"a": 1}',
        "null",
        "true",
    ),
    *(
        "http://[",
        "//evil.example/",
        "/\\evil.example",
        "javascript:alert(1)",
        "https://u:p@127.0.0.1:99999/",
        "home",
        "/x\ny",
        "/",
    ),
    *(
        "0001-01-01",
        "9999-12-31",
        "2026-02-30",
        "24:00",
        "0 1 * * 0",
        "*/0 * * * *",
        "60 * * * *",
        "0 0 31 2 *",
        "1-99999999 * * * *",
    ),
    cursor(f"0001-01-01T00:00:00+14:00 {NOBODY}"),
    cursor(f"9999-12-31T23:59:59.999999-14:00 {NOBODY}"),
    cursor(f"2026-01-01T00:00:00+00:00 {NOBODY}"),
    cursor(f"2026-01-01T00:00:00 {NOBODY}"),
    cursor("2026-01-01T00:00:00+00:00 1"),
]
CHARSETS = [
    "utf-8",
    "UTF8",
    "latin-1",
    "utf-16",
    "utf-7",
    "idna",
    "punycode",
    "zlib",
    "rot13",
    "undefined",
    "nonsense",
    '"',
    "x" * 300,
]
KINDS = [
    "application/json",
    "text/plain",
    "application/octet-stream",
    "",
    "multipart/form-data",
    "multipart/form-data; boundary=",
    "/",
    "a/b; c",
]
HEADERS: dict[str, list[str]] = {
    "HX-Request": ["true", "false", "1"],
    "HX-Target": ["dialog", "stores-list", "stores-panes", MARK],
    "HX-Current-URL": ["http://localhost/stores/", "http://[", "//", "http://localhost:x/", "javascript:1", "%00", "http://localhost/\u00e9"],
    "HX-Current-URL-URI-AutoEncoded": ["true"],
    "HX-Prompt": [MARK],
    "HX-History-Restore-Request": ["true"],
    "HX-Triggering-Event": ["{", "null", '{"a":'],
    "X-Request-ID": ["x" * 500, "a b", MARK, "\u00ff"],
    "X-Without-Messages": ["1"],
    "X-HTTP-Method-Override": ["DELETE", "POST"],
    "X-Forwarded-For": ["127.0.0.1", "x" * 300, "1.2.3.4, unknown, ::1", "[", "\u00e9"],
    "X-Forwarded-Proto": ["https", "http", "ftp"],
    "X-Forwarded-Host": ["evil.example"],
    "Accept-Language": ["xx-!!,*;q=9", "de", "x" * 600],
    "Accept-Encoding": ["gzip;q=x", "gzip", "br"],
    "Accept": ["application/json", "*/*;q="],
    "Authorization": ["Bearer ", "Bearer \u00e9", "Basic !!!", "x" * 9000],
    "If-None-Match": ['W/"', "*"],
    "If-Modified-Since": ["yesterday", "Thu, 01 Jan 0001 00:00:00 GMT", "Thu, 99 Jan 2026 00:00:00 GMT"],
    "Range": ["bytes=9-1"],
    "Origin": ["null", "http://[", "https://evil.example"],
    "Referer": ["http://[", "https://evil.example/", "\u00e9"],
    "Host": ["evil.example", "localhost:x", "[::1", "localhost\u00e9", ""],
    "Cookie": [
        "theme=dark", 'theme="\\000"', "theme=<x>", "messages=x", 'messages="[[\\"__json_message\\"]]"', "csrftoken=x",
        'sessionid="\\000aaaaaaaa"', "sessionid=x", f"sessionid={'x' * 500}", "=", "a=b=c;;", "\u00e9=\u00e9",
    ],
}  # fmt: skip


@dataclass
class Asked:
    """A request, so that a failing one can be read."""

    role: str
    method: str
    path: str
    query: str
    body: bytes
    kind: str
    headers: dict[str, str] = field(default_factory=dict)

    def send(self, world: World) -> Any:
        environ = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in self.headers.items()}
        return world.ask(
            self.role, self.method, self.path, self.body, kind=self.kind, QUERY_STRING=self.query, **environ
        )


def quoted(text: str) -> str:
    return quote_from_bytes(text.encode("utf-8", "surrogatepass"))


def encoded(pairs: list[tuple[str, str]]) -> str:
    return "&".join(f"{quoted(name)}={quoted(value)}" for name, value in pairs)


def multipart(pairs: list[tuple[str, str]], *, file: bool, broken: bool) -> bytes:
    parts = [
        b'--edge\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
        % (
            name.encode("utf-8", "surrogatepass").replace(b'"', b"%22").replace(b"\n", b""),
            b'; filename="../x\\"\xff"' if file else b"",
            value.encode("utf-8", "surrogatepass"),
        )
        for name, value in pairs
    ]
    return b"".join(parts) + (b"--ed" if broken else b"--edge--\r\n")


def _known(world: World, name: str) -> list[str]:
    return world.values.get(name) or world.keys


@cache  # making a strategy takes longer than drawing from it
def _values(world: World, route: Route) -> tuple[Any, Any, Any]:
    nasty = st.one_of(st.sampled_from(NASTY), st.sampled_from(NASTY), st.text(max_size=40), st.sampled_from(world.keys))
    strange = st.one_of(nasty, st.text(max_size=8)).filter(bool)
    some_query = st.sampled_from(sorted(world.found[route.pattern].queries)).flatmap(
        lambda name: st.tuples(st.just(name), st.one_of(nasty, st.sampled_from(_known(world, name))))
    )
    return nasty, strange, some_query


@st.composite
def requests(draw: st.DrawFn, world: World, route: Route) -> Asked:
    found = world.found[route.pattern]
    roles = ["support"] if route.is_admin else ["owner", "owner", "owner", "admin"]
    role = draw(st.sampled_from([*roles * 3, *world.cookies]))
    nasty, strange, some_query = _values(world, route)
    path = draw(_path(route, found, nasty))
    query = draw(st.lists(st.one_of(some_query, some_query, st.tuples(strange, nasty)), max_size=4))
    method = draw(
        st.sampled_from(["POST"] * 6 + ["GET"] * 4 + ["HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "NONSENSE"])
    )
    sent = [(name, draw(st.sampled_from(sorted(values)))) for name, values in sorted(found.fields.items()) if values]
    for _ in range(draw(st.integers(0, 4)) if method != "GET" else 0):
        change = draw(st.sampled_from(["value", "value", "value", "add", "drop", "twice", "name"]))
        at = draw(st.integers(0, max(len(sent) - 1, 0)))
        if change == "add" or not sent:
            name = draw(st.sampled_from(sorted(found.fields)))
            sent.append((name, draw(st.one_of(nasty, st.sampled_from(_known(world, name))))))
        elif change == "drop":
            del sent[at]
        elif change == "twice":
            sent.insert(at, sent[at])
        else:
            name, value = sent[at]
            sent[at] = (name, draw(nasty)) if change == "value" else (draw(strange), value)
    body, kind = draw(_body(sent))
    names = draw(st.lists(st.sampled_from(sorted(HEADERS)), max_size=3, unique=True))
    headers = {name: draw(st.sampled_from(HEADERS[name])) for name in names}
    if draw(st.booleans()):
        headers.setdefault("HX-Request", "true")
    return Asked(
        role,
        method,
        path,
        encoded(query) if query else draw(st.sampled_from(["", "", "%", "%ff=%ff", "&&=", "a" * 70_000])),
        body,
        kind,
        headers,
    )


@st.composite
def _path(draw: st.DrawFn, route: Route, found: Any, nasty: st.SearchStrategy[str]) -> str:
    if not route.arguments:
        return "/" + route.pattern
    values = [found.own, found.own, found.own, found.foreign]
    chosen = draw(st.sampled_from([one for one in values if one] or [{}]))
    if not chosen or draw(st.integers(0, 5)) == 0:
        chosen = {
            name: chosen.get(name, "1") if draw(st.booleans()) else draw(nasty)[:2000] for name in route.arguments
        }
    shown = {name: str(value).encode("utf-8", "surrogatepass").decode("latin-1") for name, value in chosen.items()}
    return route.path(shown)


@st.composite
def _body(draw: st.DrawFn, sent: list[tuple[str, str]]) -> tuple[bytes, str]:
    how = draw(
        st.sampled_from(
            ["form"] * 8 + ["multipart", "file", "broken", "charset", "charset of parts", "kind", "raw", "many", "none"]
        )
    )
    if how in {"multipart", "file", "broken", "charset of parts"}:
        kind = "multipart/form-data; boundary=edge"
        if how == "charset of parts":
            kind += f"; charset={draw(st.sampled_from(CHARSETS))}"
        return multipart(sent, file=how == "file", broken=how == "broken"), kind
    kind = "application/x-www-form-urlencoded"
    body = encoded(sent).encode()
    if how == "charset":
        kind += f"; charset={draw(st.sampled_from(CHARSETS))}"
    elif how == "kind":
        kind = draw(st.sampled_from(KINDS))
    elif how == "raw":
        body = draw(
            st.one_of(
                st.binary(max_size=60), st.sampled_from([b"%", b"%ff=%fe", b"a=%", b"=", b"&" * 500, b"name=\xff\x00"])
            )
        )
    elif how == "many":
        body += b"&x=1" * draw(st.sampled_from([900, 1001, 2001]))
    elif how == "none":
        body = b""
    return body, kind
