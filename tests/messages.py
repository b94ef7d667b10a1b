"""The sentences that are marked for translation, and their catalogs: `make messages` brings these up to date.

Babel does what the gettext package would, so a bare machine has all that is needed. Production reads the .mo files, and
needs neither.
"""

from __future__ import annotations

import io
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_python
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parent.parent
LOCALE = ROOT / "console" / "locale"
NEVER = datetime(2026, 1, 1, tzinfo=UTC)  # a catalog changes with its sentences alone
KEYWORDS = {
    "gettext": None,
    "gettext_lazy": None,
    "gettext_noop": None,
    "_": None,
    "ngettext": (1, 2),
    "ngettext_lazy": (1, 2),
}
# A text that a tag of a template is given.
GIVEN = re.compile(r"""_\((?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)')\)""")
TAG = re.compile(r"{%.*?%}|{{.*?}}")


def of_template(name: str, text: str):
    """Yield each marked sentence of a template: its message, or that and its plural; and what its places become."""
    from django.template import engines

    from console.web.sentences import Sentence

    found, made = [], Sentence.__init__

    def noted(self, *args, **options):
        made(self, *args, **options)
        found.append(self)

    with mock.patch.object(Sentence, "__init__", noted):
        engines["django"].engine.from_string(text)
    for one in found:
        yield (one.message, one.plural) if one.plural else one.message, _parts(one)
    for tag in TAG.findall(re.sub(r"{% comment %}.*?{% endcomment %}", "", text, flags=re.S)):
        for first, second in GIVEN.findall(tag):
            message = first or second
            assert "%" not in message, f"{name}: Django doubles the % of what tags are given"
            yield message, []


def _parts(sentence):
    """Return, for translators, the sentences that stand in the places of one."""
    from console.web.sentences import Sentence

    found = []
    for name, nodes in sentence.parts.items():
        inside = [one for node in nodes if not isinstance(node, str) for one in node.get_nodes_by_type(Sentence)]
        if inside:
            place = name if name.startswith("<") else f"{{{name}}}"
            found.append(f"{place}: " + " / ".join(dict.fromkeys(one.message for one in inside)))
    return found


def of_python(text: str):
    """Yield each marked sentence of a module."""
    keywords = list(KEYWORDS)
    for _, name, messages, _ in extract_python(io.BytesIO(text.encode()), keywords, [], {}):
        if isinstance(messages, str):
            yield messages
        elif messages and all(isinstance(one, str) for one in messages[: 2 if KEYWORDS[name] else 1]):
            yield tuple(messages[:2]) if KEYWORDS[name] else messages[0]


def extracted() -> Catalog:
    """Return all marked sentences of the product, each with the files that have it."""
    found = Catalog(project="Storekeeper", version="", charset="utf-8", creation_date=NEVER, fuzzy=False)
    found.header_comment = "# Translations of Storekeeper. Made by `make messages`: change the msgstr alone."
    for path in sorted((ROOT / "templates").rglob("*")):
        if path.suffix in {".html", ".txt"}:
            for message, parts in of_template(path.name, path.read_text()):
                found.add(message, locations=[(path.relative_to(ROOT).as_posix(), 0)], auto_comments=parts)
    for top in ("console", "stores", "clusters"):
        for path in sorted((ROOT / top).rglob("*.py")):
            text = path.read_text()
            if "gettext" in text:
                for message in of_python(text):
                    found.add(message, locations=[(path.relative_to(ROOT).as_posix(), 0)])
    return found


def catalog(language: str) -> Catalog:
    """Return the catalog of a language as it is kept."""
    path = LOCALE / language / "LC_MESSAGES" / "django.po"
    if not path.exists():
        return Catalog(locale=language, creation_date=NEVER, revision_date=NEVER, fuzzy=False)
    return read_po(io.BytesIO(path.read_bytes()), locale=language)


def brought_up_to_date(kept: Catalog, sentences: Catalog) -> Catalog:
    """Return a catalog with these sentences: what is translated stays so, and nothing is guessed."""
    made = Catalog(
        locale=kept.locale, project="Storekeeper", version="", charset="utf-8", last_translator="", language_team="",
        creation_date=NEVER, revision_date=NEVER, fuzzy=False,
    )  # fmt: skip
    made.header_comment = sentences.header_comment
    for one in sentences:
        if one.id:
            old = kept.get(one.id)
            string = old.string if old and not old.fuzzy else ""
            flags = old.flags - {"fuzzy"} if old else ()
            notes = list(dict.fromkeys(one.auto_comments))
            made.add(one.id, string, locations=sorted(set(one.locations)), flags=flags, auto_comments=notes)
    return made


def as_po(one: Catalog) -> bytes:
    """Return a catalog as translators read it."""
    file = io.BytesIO()
    write_po(file, one, width=120, sort_output=True, include_lineno=False)
    return file.getvalue()


def as_mo(one: Catalog) -> bytes:
    """Return a catalog as Django reads it."""
    file = io.BytesIO()
    write_mo(file, one)
    return file.getvalue()


def write(language: str, one: Catalog) -> None:
    """Keep a catalog in both forms."""
    folder = LOCALE / language / "LC_MESSAGES"
    folder.mkdir(parents=True, exist_ok=True)
    text = as_po(one)
    (folder / "django.po").write_bytes(text)
    (folder / "django.mo").write_bytes(as_mo(read_po(io.BytesIO(text), locale=language)))


def main() -> None:
    """Bring the catalogs up to date: of the languages that are named, else of all that there are."""
    import django

    django.setup()
    sentences = extracted()
    for language in sys.argv[1:] or sorted(path.name for path in LOCALE.glob("*") if path.is_dir()):
        made = brought_up_to_date(catalog(language), sentences)
        write(language, made)
        done = sum(bool(one.string and all(one.string)) for one in made if one.id)
        print(f"{language}: {done} of {len(made)} sentences are translated")


if __name__ == "__main__":
    main()
