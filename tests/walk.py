"""Every URL of the console, found by walking the URL conf: a new page is in each of these tests at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote, urlencode, urljoin, urlsplit

from django.urls import Resolver404, URLPattern, URLResolver, get_resolver, resolve
from django.urls.resolvers import RegexPattern

ARGUMENT = re.compile(r"<(?:(\w+):)?(\w+)>")


@dataclass(frozen=True)
class Route:
    """One line of the URL conf."""

    pattern: str  # such as stores/<uuid:pk>/delete/
    view: Callable[..., Any]
    name: str = ""  # as reverse() takes it, such as stores:delete

    @property
    def arguments(self) -> dict[str, str]:
        """The names of what stands in the address, each with its converter."""
        return {name: converter or "str" for converter, name in ARGUMENT.findall(self.pattern)}

    @property
    def is_admin(self) -> bool:
        return self.pattern.startswith("admin/")

    @property
    def is_api(self) -> bool:
        """Whether it takes tokens and no cookies: tests/api asks it."""
        return self.pattern.startswith(("api/v1/", "v1/", "account/v1/", "byoc/v1/"))

    def path(self, values: Mapping[str, Any]) -> str:
        return "/" + ARGUMENT.sub(lambda found: quote(str(values[found[2]]), safe=""), self.pattern)


def routes() -> list[Route]:
    """Every route; of the admin's pages that are the same for many models, the first model's."""
    found: dict[Any, Route] = {}
    for one in _below(get_resolver().url_patterns, ""):
        admin = getattr(one.view, "model_admin", None)
        found.setdefault((type(admin), one.view.__name__) if admin else one.pattern, one)
    return list(found.values())


def _below(patterns: list[Any], prefix: str, space: str = "") -> Iterator[Route]:
    for one in patterns:
        pattern = prefix + _text(one.pattern)
        if isinstance(one, URLResolver):
            yield from _below(one.url_patterns, pattern, f"{space}{one.namespace}:" if one.namespace else space)
        elif isinstance(one, URLPattern):
            yield Route(pattern, one.callback, f"{space}{one.name or one.callback.__name__}")


def _text(pattern: Any) -> str:
    """The pattern as path() would have it, also of one that is a regular expression."""
    if not isinstance(pattern, RegexPattern):
        return str(pattern)
    text = re.sub(r"\(\?P<(\w+)>(?:[^()]|\([^()]*\))*\)", r"<\1>", str(pattern))
    return re.sub(r"[\^$]|\\Z", "", text).replace("\\", "")


def find(address: str, among: list[Route]) -> Route | None:
    """The route that the address belongs to; None for one that is nobody's."""
    try:
        found = resolve(urlsplit(address).path)
    except (Resolver404, ValueError):
        return None
    given = {*found.kwargs} - {*(found.extra_kwargs or {})}
    return next((one for one in among if one.view is found.func and {*one.arguments} == given), None)


def arguments(address: str) -> dict[str, Any]:
    """What stands in the address."""
    found = resolve(urlsplit(address).path)
    return {name: value for name, value in found.kwargs.items() if name not in (found.extra_kwargs or {})}


class Harvest(HTMLParser):
    """What a page leads to: the addresses that it links, and the fields of the forms that it would send."""

    def __init__(self, address: str, html: str) -> None:
        super().__init__()
        self.address = address
        self.links: set[str] = set()
        self.dialogs: set[str] = set()  # those of them that open above the page
        self.forms: list[tuple[str, str, dict[str, list[str]]]] = []  # method, address, values by name
        self._open: list[dict[str, list[str]]] = []
        self._page: dict[str, list[str]] = {}
        self._select = ""
        self.feed(html)
        if self._page:
            self.forms.append(("get", address, self._page))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        # Scripts find in data-… what they ask for.
        for name in ("href", "hx-get", *(one for one in given if one.startswith("data-") and given[one][:1] == "/")):
            if name in given and not (tag == "link" or given[name].startswith("#")):
                chosen = (
                    f"?{urlencode({given['name']: given['value']})}" if given.get("name") and given.get("value") else ""
                )
                self.links.add(urljoin(self.address, given[name] + chosen))
        if given.get("hx-target") == "#dialog" and "hx-get" in given:
            self.dialogs.add(urljoin(self.address, given["hx-get"]))
        if tag == "form":
            method = given.get("method", "get").lower()
            action = urljoin(self.address, given.get("hx-post") or given.get("action") or self.address)
            self._open.append({})
            self.forms.append((method, action, self._open[-1]))
        elif "hx-post" in given and tag not in {"input", "select", "textarea"}:
            names = re.findall(r'"(\w+)":', given.get("hx-vals", ""))
            self.forms.append(("post", urljoin(self.address, given["hx-post"]), {name: [""] for name in names}))
        fields = self._open[-1] if self._open else self._page
        if tag in {"input", "textarea", "select", "button"} and given.get("name"):
            self._select = given["name"] if tag == "select" else ""
            values = fields.setdefault(given["name"], [])
            if tag in {"input", "button"} and given.get("value", "") not in values:
                values.append(given.get("value", ""))
        elif tag == "option" and self._select:
            fields.setdefault(self._select, []).append(given.get("value", ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form" and self._open:
            self._open.pop()
        elif tag == "select":
            self._select = ""
