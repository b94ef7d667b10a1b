"""The texts of the product that people may read, found in its Python files and templates."""

from __future__ import annotations

import ast
import re

# What tags are given to be shown.
TEXTS = "label=|title=|hint=|legend=|words=|submit=|noun=|nouns=|note=|caption=|all=|search="


def sentences_of_python(text):
    """Every text in the code that people may read: of several words, and no docstring."""
    tree = ast.parse(text)
    said = set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
        ):
            said.add(body[0].value)  # a docstring
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [one.value if isinstance(one, ast.Constant) else "…" for one in node.values]
            said |= {one for one in node.values if isinstance(one, ast.Constant)}
            yield "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in said:
            yield re.sub(r"\{\w+\}", "…", node.value)  # of what str.format fills in


def without_sentences(text):
    """Return a template without what {% t %} marks, which may stand in one another, and what is marked by _("…")."""
    kept, depth = [], 0
    for piece in re.split(r"({%.*?%})", text, flags=re.S):
        name = piece[2:-2].split()[0] if piece.startswith("{%") else ""
        depth += name == "t"
        if not depth:
            kept.append(re.sub(r"""_\((?:"[^"]*"|'[^']*')\)""", "marked", piece))
        depth -= name == "endt"
    return "".join(kept)


def sentences_of_template(text):
    """What stands between the tags, and in the attributes that are shown or read aloud."""
    text = re.sub(r"{% comment %}.*?{% endcomment %}", "", text, flags=re.S)
    quoted = re.findall(r"{% (?:include|with|dialog|dialog_form|opener|post_button) .*?%}", text, flags=re.S)
    text = re.sub(r"{#.*?#}", "", text)
    text = re.sub(r"{{.*?}}", "…", re.sub(r"{%.*?%}", "", text, flags=re.S))
    yield from re.findall(r'(?:aria-label|placeholder|title|alt)="([^"]*)"', text)
    yield from (one for tag in quoted for one in re.findall(rf'(?:(?<= )|{TEXTS})(?:_\()?"([^"]*)"', tag))
    text = re.sub(r"\s*<(?!/?(?:a|b|em|strong|code|span)\b)[^>]*>\s*", "\n", text)  # where a sentence ends
    yield from re.sub(r"<[^>]*>", "", text).splitlines()
