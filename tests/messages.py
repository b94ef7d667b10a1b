"""The sentences that are marked for translation, and their catalogs: `make messages` brings these up to date.

Babel does what the gettext package would, so a bare machine has all that is needed. Production reads the .mo files, and
needs neither.
"""

from __future__ import annotations

import ast
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
# Django asks all of its own catalogs for a sentence that the first one lacks, which takes three times as long. So
# English has one of ours, in which each sentence is itself.
ENGLISH = "en_GB"
NEVER = datetime(2026, 1, 1, tzinfo=UTC)  # a catalog changes with its sentences alone
KEYWORDS = {
    "gettext": None,
    "gettext_lazy": None,
    "gettext_noop": None,
    "_": None,
    "ngettext": (1, 2),
    "ngettext_lazy": (1, 2),
}
# Modules whose texts are shown in the reader's language where a page has them (console.web.retold), and which of them.
RETOLD = {
    "clusters/health/alerts.py": ".* .*",
    "clusters/health/judgement.py": ".* .*",
    "clusters/health/judging.py": "[A-Z].* .*",
    "clusters/health/reading.py": r".* .*\.",
    "clusters/handover/steps.py": r"(?!sudo|ALTER|SELECT|\{\w+\} -)[A-Z{].* .*",
    "clusters/pgbackrest/restore.py": r"(?!sudo|[#-]|SELECT|\{\w+\}[{/; ]).* .*",
    "clusters/pictures/recovery_window.py": ".* .*",
    "clusters/pictures/week.py": ".* .*",
    "clusters/plans.py": "[A-Z].* .*",
    "clusters/proximity.py": ".* .*",
    "clusters/replication.py": "[A-Z{].* .*",
    "clusters/reports/shown.py": ".* .*",
    "console/alerts/evaluation.py": "[A-Z].*",
    "console/alerts/models.py": "Open|Closed|Silenced|Acknowledged",
    "console/alerts/upkeep.py": "[A-Z{].* .*",
    "console/cloud_accounts/alerts.py": "[A-Z{].* .*",
    "console/overview/troubles.py": r"[A-Z].* .*\.",
    "stores/alerts.py": "[A-Z{].* .*",
    "stores/control_status.py": "[A-Z{].* .*",
    "stores/losses.py": "[a-z]+ backup",
    "stores/models.py": "[A-Za-z{].* .*",
    "console/clouds/aws/__init__.py": r"[A-Z{].* .*\.",
    "console/clouds/azure/__init__.py": r"storage account|subscription( ID)?|in \w.*|(?!FILL)[A-Z{].* .*\.",
    "console/clouds/google/__init__.py": r"project( ID)?|label|in \w.*|(?!FILL)[A-Z{].* .*\.",
    "console/clouds/s3/__init__.py": r"server|on \w.*|The server|(?!FILL)[A-Z{].* .*\.",
    "console/clouds/vocabulary.py": "bucket|account|in|account ID|in this account|in AWS|tag",
    **{f"console/clouds/{one}/linking.py": "[A-Za-z{].* .*" for one in ("aws", "azure", "google", "s3")},
    "console/clouds/google/session.py": r"(as|with) .* .*|Nodes Sign In|Project Number|Service Account",
    **{
        f"console/clouds/{one}.py": r"(?:Creating|Checking|Deleting|Leaving|Giving|Turning on|Setting|Putting) .* .*"
        for one in ("lifecycle", "bringing")
    },
    **{
        f"console/clouds/{one}/access.py": "(?:Give the|See on|Attach|The nodes sign|Start the|[A-Z][a-z]+ing) .* .*"
        for one in ("aws", "azure", "google", "s3")
    },
    **{
        f"console/clouds/{one}/documents.py": r"[A-Z].* .*\.|Nodes' boundary|Trust policy|Custom role"
        for one in ("aws", "google")
    },
    **{
        f"console/clouds/{one}/storage.py": "(?:Log )?(?:Bucket|Storage|Resource) [A-Za-z]+"
        for one in ("aws", "azure", "google", "s3")
    },
    "console/clouds/s3/features.py": "[A-Z{].* .*",
    "stores/plans.py": "[A-Z{].* .*",
    "stores/protection.py": "[A-Z{].* .*",
    "stores/unmanaged.py": "[A-Z{].* .*",
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


def of_texts(text: str, wanted: str):
    """Yield the texts of a module that are such ones, with the places of what its f-strings have."""
    tree = ast.parse(text)
    said = {one for node in ast.walk(tree) for one in _not_shown(node)}
    for node in ast.walk(tree):
        if node in said:
            continue
        found: list[str] = []
        if isinstance(node, ast.JoinedStr):
            said |= {one for part in node.values for one in ast.walk(part) if isinstance(one, ast.Constant)} - {
                one
                for part in node.values
                if isinstance(part, ast.FormattedValue) and not isinstance(part.value, ast.IfExp)
                for one in ast.walk(part.value)
            }
            found = [_with_places(one) for one in _ways(node.values)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found = [node.value]
        for one in found:
            if re.fullmatch(wanted, one) and re.search(r"[^\W\d_]{2}", re.sub(r"\{\w+\}", "", one)):
                yield one.strip()


def _not_shown(node):
    """Return what is no text for people: docstrings, keys, lines of logs, what is marked by itself."""
    body = getattr(node, "body", None)
    if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
        return [body[0].value]
    if isinstance(node, ast.Call):
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        of_a_log = name in {"debug", "info", "warning", "error", "exception"}
        if name in KEYWORDS or of_a_log or name in {"ValueError", "record", "compile"}:
            return [one for one in ast.walk(node) if isinstance(one, ast.Constant | ast.JoinedStr)]
    if isinstance(node, ast.Subscript | ast.Compare):
        return [one for one in ast.walk(node) if isinstance(one, ast.Constant)]
    return []


def _ways(parts):
    """Return the parts of an f-string, once for each way that the choices in it go."""
    found = [[]]
    for part in parts:
        one = part.value if isinstance(part, ast.FormattedValue) else None
        if isinstance(one, ast.IfExp):
            ways = [
                way.values if isinstance(way, ast.JoinedStr) else [way if isinstance(way, ast.Constant) else _part(way)]
                for way in (one.body, one.orelse)
            ]
            found = [[*begin, *way] for begin in found for way in ways]
        else:
            found = [[*begin, part] for begin in found]
    return found


def _part(value):
    return ast.FormattedValue(value=value, conversion=-1)


def _with_places(parts):
    text, names = "", {}
    for part in parts:
        if isinstance(part, ast.Constant):
            text += str(part.value)
            continue
        source = ast.unparse(part.value)
        words = re.findall(r"[a-z_]{2,}", re.sub(r"['\"].*?['\"]|\bone\b|\bself\b", "", source).lower()) or ["value"]
        name = next((one for one in reversed(words) if one not in {"name", "label", "words", "id"}), words[-1]).strip(
            "_"
        )
        label, number = name, 1
        while names.get(label, source) != source:
            number += 1
            label = f"{name}_{number}"
        names[label] = source
        text += f"{{{label}}}"
    return text


def of_forms():
    """Yield the label of each field that has none of its own, by Django's rule, and its help; with its module."""
    import importlib

    from django import forms
    from django.forms.utils import pretty_name

    for path in sorted(one for top in ("console", "stores", "clusters") for one in (ROOT / top).rglob("*form*.py")):
        name = path.relative_to(ROOT).as_posix()
        for one in vars(importlib.import_module(name.removesuffix(".py").replace("/", "."))).values():
            if isinstance(one, type) and issubclass(one, forms.BaseForm):
                for field_name, field in one.base_fields.items():
                    for text in (pretty_name(field_name) if field.label is None else field.label, field.help_text):
                        if type(text) is str and re.search(r"[^\W\d_]{2}", text):
                            yield name, text


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
    for name, wanted in RETOLD.items():
        for message in of_texts((ROOT / name).read_text(), wanted):
            found.add(message, locations=[(name, 0)])
    for name, message in of_forms():
        found.add(message, locations=[(name, 0)])
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


def speak(one: Catalog, monkeypatch, settings) -> None:
    """Offer German, and have it say what a catalog has."""
    import gettext

    from django.utils.translation import trans_real

    settings.LANGUAGES = [("en-gb", "English"), ("de", "Deutsch")]
    monkeypatch.setattr(trans_real, "_translations", {})
    found = trans_real.translation("de")
    read = gettext.GNUTranslations(io.BytesIO(as_mo(one)))
    found._catalog._catalogs.insert(0, read._catalog)
    found.plural = found._catalog._plurals[0]


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
        if language == ENGLISH:
            for one in made:
                one.string = one.id
        write(language, made)
        done = sum(bool(one.string and all(one.string)) for one in made if one.id)
        print(f"{language}: {done} of {len(made)} sentences are translated")


if __name__ == "__main__":
    main()
