"""The parts that every app's templates are made of, as tags that enclose what they frame. Knows no app.

Each tag has a template of its own, where its HTML stands: `_dialog.html`, `_dialog_form.html`, `_opener.html`,
`_post_button.html`. Whoever opens or posts names a view and its arguments, as with `{% url %}`; so an address is
written once, and never joined by hand.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

from django.template import Context, Engine, Library
from django.template.base import Parser, Token
from django.template.defaulttags import URLNode
from django.template.defaulttags import url as plain_url
from django.utils.encoding import escape_uri_path
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language

from console.web.addresses import address

register = Library()


class KeptURLNode(URLNode):
    """An address that is made once, and then known."""

    def render(self, context: Context) -> str:
        """Return the address, escaped."""
        view = self.view_name.resolve(context)
        url = address(view, *(one.resolve(context) for one in self.args))
        return conditional_escape(url) if context.autoescape else url


@register.tag
def url(parser: Parser, token: Token) -> URLNode:
    """Do what Django's own tag does, which finds the same address again for each row."""
    node = plain_url(parser, token)
    if node.kwargs or node.asvar:
        return node
    return KeptURLNode(node.view_name, node.args, node.kwargs, node.asvar)


@register.simple_block_tag(takes_context=True)
def dialog(
    context: Context,
    content: str,
    title: str,
    *,
    of: str = "",
    back: str = "",
    wide: bool = False,
    wide_page: bool = False,
) -> str:
    """Return a dialog, or for a page of its own the panel around it; `back` is where its cross leads without scripts.

    `of` stands, strong, where the title has `{}`. `wide` is for the dialog and its page, `wide_page` for the page only.
    """
    heading = format_html(title.replace("{}", "<strong>{}</strong>"), of) if of else title
    values = {"content": content, "title": heading, "back": back, "wide": wide, "wide_page": wide or wide_page}
    return _render(context, "_dialog.html", **values)


@register.simple_block_tag(takes_context=True)
def dialog_form(
    context: Context,
    content: str,
    *,
    submit: str = "",
    back: str = "",
    css: str = "primary",
    typed: str = "",
    morph: bool = False,
    files: bool = False,
) -> str:
    """Return the form of a dialog, which posts to the dialog's own address, with the errors of `form` above its fields.

    With `submit` it ends in the usual footer: Cancel, which leads `back`, and the button of this name; without, the
    body has its own. `typed` is what has to be typed before that button can be pressed. `morph` keeps what was typed
    and opened in the dialog when the answer replaces it. `files`: it has a field for a file.
    """
    values = {"content": content, "submit": submit, "back": back, "css": css, "typed": typed, "morph": morph}
    values["files"] = files
    values["wrong"] = wrong_fields(context.get("form"), content)
    return _render(context, "_dialog_form.html", url=escape_uri_path(context["request"].path), **values)


@dataclass(frozen=True)
class Wrong:
    """What is wrong with one field: the message, and the ID on the page of what to correct; "" where it has none."""

    text: str
    target: str


def wrong_fields(form: Any, content: str) -> list[Wrong]:
    """Return the errors of a form's fields in their order, each with where it is corrected on the page.

    That is the field itself, else the first of its choices, else what is said beside it.
    """
    if form is None or not getattr(form, "errors", None):
        return []
    found = []
    for field in form:
        ids = (field.auto_id, f"{field.auto_id}_0", f"{field.auto_id}_error", f"choice-{field.html_name}-error")
        target = next((one for one in ids if one and f' id="{one}"' in content), "")
        found += [Wrong(" ".join(field.errors), target)] if field.errors else []
    return found


@register.simple_block_tag(takes_context=True)
def opener(
    context: Context,
    content: str,
    view: str,
    *arguments: object,
    css: str = "",
    icon: str = "",
    label: str = "",
    **query: object,
) -> str:
    """Return a link that opens a view's dialog above the page; without scripts it leads to the dialog's page.

    What else is given is its query: what the dialog begins with.
    """
    url = address(view, *arguments) + (f"?{urlencode(query)}" if query else "")
    given = {"url": url, "content": _trimmed(content), "label": label}
    return _filled(context, "_opener.html", given, css=css, icon=icon)


@register.simple_block_tag(takes_context=True)
def post_button(
    context: Context,
    content: str,
    view: str,
    *arguments: object,
    css: str = "",
    icon: str = "",
    label: str = "",
    dom_id: str = "",
    disabled: bool = False,
    once: bool = False,
    dialog: bool = False,
    form_css: str = "",
    **fields: object,
) -> str:
    """Return a button that posts to a view, with or without scripts; what else is given goes along as hidden fields.

    The view answers with what changed (console.web.announced), and the page shows that; the answer replaces nothing;
    with `dialog` it is a dialog, which opens. `once` disables the button while its request is on the way.
    """
    given = {"url": address(view, *arguments), "content": _trimmed(content), "label": label, "dom_id": dom_id}
    token = str(context.get("csrf_token", ""))
    if fields or token in {"", "NOTPROVIDED"}:
        values: dict[str, Any] = {**given, "css": css, "icon": icon, "disabled": disabled, "once": once}
        values |= {"dialog": dialog, "form_css": form_css, "fields": fields}
        return _render(context, "_post_button.html", **values)
    given["csrf_token"] = token
    ways: dict[str, str | bool] = {"disabled": bool(disabled), "once": once, "dialog": dialog, "form_css": form_css}
    return _filled(context, "_post_button.html", given, css=css, icon=icon, **ways)


@register.simple_block_tag(takes_context=True)
def filled(context: Context, content: str, name: str, texts: dict[str, str]) -> str:
    """Return a part of which a list has dozens, filled in: its template sees these texts, and what is enclosed.

    It sees nothing else: a text that is not given is none, so of two rows that look alike none shows what is another's.
    """
    given = {**texts, "content": _trimmed(content), "csrf_token": str(context.get("csrf_token", ""))}
    return _filled(context, name, given)


def _render(context: Context, name: str, **values: Any) -> SafeString:
    """Render a part in the context of the page, as {% include %} would; without the white space at its ends."""
    assert context.template is not None
    template = context.template.engine.get_template(name)
    with context.push(**values):
        return _trimmed(template.render(context))


def _filled(context: Context, name: str, given: dict[str, str], **ways: str | bool) -> SafeString:
    """Render a part that is drawn dozens of times on a page: once for each way that it looks, then only filled in.

    What is kept holds nothing of whoever asks: all that is `given` stands in it as a gap.
    """
    assert context.template is not None
    present = frozenset(key for key, value in given.items() if value)
    icons, language = context.get("icons", ""), get_language()
    pieces = _shape(context.template.engine, name, icons, present, tuple(ways.items()), language)
    return SafeString("".join(conditional_escape(given[one]) if at % 2 else one for at, one in enumerate(pieces)))


@lru_cache(maxsize=512)
def _shape(
    engine: Engine,
    name: str,
    icons: str,
    present: frozenset[str],
    ways: tuple[tuple[str, str | bool], ...],
    _language: str | None,  # that is active, of what is kept for it
) -> tuple[str, ...]:
    """Return the HTML of a part as pieces with the names of what is given between them."""
    gaps = {key: SafeString(f"\x00{key}\x00") for key in present}
    html = engine.get_template(name).render(Context({**gaps, **dict(ways), "icons": icons}))
    return tuple(re.sub(r"\n\s*\n", "\n", html.strip()).split("\x00"))  # what is left out leaves its line


def _trimmed(html: str) -> SafeString:
    """Return rendered HTML without the white space at its ends, where it would show between two words."""
    if not isinstance(html, SafeString):
        raise TypeError("Only what a template has rendered is safe.")
    return SafeString(html.strip())  # escaped where it was rendered
