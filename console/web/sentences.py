"""The mark of a sentence that is translated: {% t %}…{% endt %}. Knows no app.

Inside it stands the sentence as it is in English, whole: with its variables, its inline elements, and the tags that
make a part of it. Translators get the words: `{name}` for what a tag or variable becomes, `<a>…</a>` for an element
whose attributes stay here. So they can move both, and change neither. In English the content is rendered as it stands.

    {% t %}Ask <a href="{% url 'organisation:members' %}">an owner</a> of {{ membership.organisation }}.{% endt %}
    {% t count=number %}One store{% plural %}{{ number }} stores{% endt %}

    {% opener 'stores:delete' store.pk label=_("Delete {}")|fill:store.name %}{% t %}Delete{% endt %}{% endopener %}

The first is "Ask <a>an owner</a> of {organisation}." in the catalog. Texts that tags are given are marked by Django's
own `_("…")`, and have {} for what fills them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.template import Context, Library, Node, NodeList, TemplateSyntaxError
from django.template.base import FilterExpression, Parser, TextNode, Token, VariableNode
from django.template.loader_tags import IncludeNode
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext, ngettext

from console.web.retold import retold, told

register = Library()

PLACE = re.compile(r"\{(\w+)\}|<(/?)(\w+)>")
EMPTY = {"br", "hr", "img", "input", "wbr"}
IS_TRANSLATED = "is translated"  # in what Django keeps while it renders
Parts = dict[str, list[Node | str]]


class Sentence(Node):
    """A sentence with its places; `plural` is how it is for several."""

    child_nodelists = ("nodelist", "several")

    def __init__(self, nodelist: NodeList, several: NodeList | None = None, count: FilterExpression | None = None):
        self.nodelist, self.several, self.count = nodelist, several or NodeList(), count
        for one in (*nodelist, *self.several):
            if isinstance(one, TextNode):
                one.s = re.sub(r"\s*\n\s*", " ", one.s)  # lines end where the source has no more room
        self.message, parts = read(nodelist)
        self.plural, more = read(several) if several is not None else ("", {})
        self.parts = {**parts, **more}
        texts = [one.s if isinstance(one, TextNode) else None for one in nodelist]
        self.plain = SafeString("".join(filter(None, texts))) if None not in texts else None  # the source's

    def render(self, context: Context) -> SafeString:
        """Return the sentence in the language that is active; what is not translated is in English."""
        if is_translated(context):
            text = self.translated(context)
            if text not in (self.message, self.plural):
                return self.filled(text, context)
        if self.plain is not None and self.count is None:
            return self.plain
        return (self.nodelist if self.number(context) == 1 else self.several).render(context)

    def translated(self, context: Context) -> str:
        """Return the message in the active language, or as it is in English."""
        if self.count is None:
            return gettext(self.message)
        return ngettext(self.message, self.plural, self.number(context))

    def number(self, context: Context) -> int:
        """Return how many there are, be it a number or what can be counted; 1 where nothing is."""
        if self.count is None:
            return 1
        found = self.count.resolve(context)
        return found if isinstance(found, int) else len(found) if hasattr(found, "__len__") else 0

    def filled(self, text: str, context: Context) -> SafeString:
        """Return a translation with what its places become; the text is a catalog's, and as safe as a template."""
        found: list[str] = []
        for piece, key in pieces(text):
            if key is None or key not in self.parts:  # a test holds catalogs to the places of their sentences
                found.append(piece)
            else:
                found += (
                    str(one if isinstance(one, str) else one.render_annotated(context)) for one in self.parts[key]
                )
        return SafeString("".join(found))  # variables escape themselves


def is_translated(context: Context) -> bool:
    """Return whether what is rendered is in another language than English; asked once, as the answer takes longer."""
    kept: Any = context.render_context.dicts[0]
    if IS_TRANSLATED not in kept:
        kept[IS_TRANSLATED] = get_language() != settings.LANGUAGE_CODE
    return bool(kept[IS_TRANSLATED])


@register.tag
def t(parser: Parser, token: Token) -> Sentence:
    """Mark a sentence; with count=… it has a second form, after {% plural %}."""
    given = token.split_contents()[1:]
    if len(given) > 1 or (given and not given[0].startswith("count=")):
        raise TemplateSyntaxError("{% t %} takes count=… alone.")
    nodelist = parser.parse(("plural", "endt") if given else ("endt",))
    several = None
    if parser.next_token().contents == "plural":
        several = parser.parse(("endt",))
        parser.delete_first_token()
    elif given:
        raise TemplateSyntaxError("A sentence with count=… needs {% plural %}.")
    sentence = Sentence(nodelist, several, parser.compile_filter(given[0].removeprefix("count=")) if given else None)
    if not re.search(r"[^\W\d_]", PLACE.sub("", sentence.message)):
        raise TemplateSyntaxError("There is nothing to translate.")
    return sentence


@register.filter
def fill(text: object, value: object) -> str:
    """Put a value in the place of the next {} of a text that a tag is given, such as _("Forget {}")|fill:name."""
    return str(text).replace("{}", str(value), 1)


register.filter("retold", retold)
register.filter("told", told)


@lru_cache(maxsize=8192)
def pieces(text: str) -> tuple[tuple[str, str | None], ...]:
    """Return a text cut at its places: each piece with the name of its part, None for words and ends of elements."""
    found: list[tuple[str, str | None]] = []
    at = 0
    for place in PLACE.finditer(text):
        found.append((text[at : place.start()], None))
        if place[2]:
            found.append((f"</{place[3].rstrip('0123456789')}>", None))
        else:
            found.append((place[0], place[1] or f"<{place[3]}>"))
        at = place.end()
    found.append((text[at:], None))
    return tuple(one for one in found if one[0])


def read(nodelist: Iterable[Node]) -> tuple[str, Parts]:
    """Return the message of a sentence, and what stands in its places by their names."""
    parts: Parts = {}
    words: list[str] = []
    opened: list[str] = []
    tag: list[Node | str] | None = None  # the element that is being read
    for one in _pieces_of(nodelist):
        if tag is not None:
            tag.append(one)
            if one == ">":
                words.append(_element(tag, parts, opened))
                tag = None
        elif isinstance(one, str) and re.match(r"</?[a-zA-Z]", one):
            tag = [one]
        elif isinstance(one, str):
            words.append(one)
        else:
            words.append("{" + _named(_name(one), [one], parts) + "}")
    if tag is not None or opened:
        raise TemplateSyntaxError(f"An element does not end in its sentence: {''.join(words)}")
    return " ".join("".join(words).split()), parts


def _pieces_of(nodelist: Iterable[Node]) -> Iterator[Node | str]:
    """Yield words, the beginning of each element as "<a", what stands in its attributes, its ">", and tags."""
    inside, quote = False, ""
    for node in nodelist:
        if not isinstance(node, TextNode):
            yield node
            continue
        text, at = node.s, 0
        while at < len(text):
            if not inside:
                found = re.compile(r"</?[a-zA-Z][\w-]*").search(text, at)
                end = found.start() if found else len(text)
                if end > at:
                    yield text[at:end]
                if found:
                    yield found[0]
                    inside = True
                at = found.end() if found else len(text)
                continue
            mark = re.compile(re.escape(quote) if quote else "[\"'>]").search(text, at)
            end = mark.start() if mark else len(text)
            if mark and mark[0] == ">":
                if end > at:
                    yield text[at:end]
                yield ">"
                inside = False
            else:
                yield text[at : end + 1]
                quote = ("" if quote else mark[0]) if mark else quote
            at = end + 1


def _element(tag: list[Node | str], parts: Parts, opened: list[str]) -> str:
    """Return the place of an element's beginning or end."""
    first = str(tag[0])
    name = first.strip("</").lower()
    if first.startswith("</"):
        label = opened.pop() if opened else ""
        if label.rstrip("0123456789") != name:
            raise TemplateSyntaxError(f"</{name}> ends no element of its sentence.")
        return f"</{label}>"
    if name in EMPTY:
        return "{" + _named(name, tag, parts) + "}"
    label, number = name, 1
    while f"<{label}>" in parts:
        number += 1
        label = f"{name}{number}"
    parts[f"<{label}>"] = tag
    opened.append(label)
    return f"<{label}>"


def _named(name: str, nodes: list[Node | str], parts: Parts) -> str:
    """Enter a part by a name that is free, or that what is the same has already."""
    said = [_said(one) for one in nodes]
    label, number = name, 1
    while label in parts and [_said(one) for one in parts[label]] != said:
        number += 1
        label = f"{name}_{number}"
    parts[label] = nodes
    return label


def _said(node: Node | str) -> str:
    """Return what tells a part from another: what encloses others is like none."""
    if isinstance(node, str):
        return node
    token = getattr(node, "token", None)
    encloses = any(getattr(node, name, None) for name in node.child_nodelists)
    return repr(id(node)) if encloses or token is None else str(token.contents)


def _name(node: Node) -> str:
    """Return what translators see in the place of a variable or tag."""
    token: Any = getattr(node, "token", None)
    contents = token.contents if token else ""
    if isinstance(node, VariableNode):
        path = re.match(r"[\w.]*", contents)
        return (path[0] if path else "").split(".")[-1] or "value"
    if isinstance(node, IncludeNode):
        named = re.search(r"([\w-]+)\.html", contents)
        return named[1].strip("_").replace("-", "_") if named else "part"
    return {"if": "part", "for": "list"}.get(contents.split(" ")[0], contents.split(" ")[0] or "part")
