"""What the scripts of pages say, in the language of a page: they have their sentences in English. Knows no app."""

from __future__ import annotations

import json

from django.conf import settings
from django.utils.translation import get_language, gettext, gettext_noop

SENTENCES = (
    gettext_noop("At risk"),
    gettext_noop("Attached"),
    gettext_noop("Available"),
    gettext_noop("Cannot be chosen"),
    gettext_noop("Chosen"),
    gettext_noop("Copied"),
    gettext_noop("Copying is not allowed here; select the text instead."),
    gettext_noop("Falling behind"),
    gettext_noop("Further away"),
    gettext_noop("Map of {nouns}; the arrow keys move it, plus and minus zoom"),
    gettext_noop("Nearest to the node"),
    gettext_noop("Newly chosen"),
    gettext_noop("Node"),
    gettext_noop("Nodes, as the worst of them"),
    gettext_noop("Not recoverable"),
    gettext_noop("Not set up yet"),
    gettext_noop("Nothing is judged"),
    gettext_noop("Nothing matches. Try another word."),
    gettext_noop("Recoverable"),
    gettext_noop("Several {nouns}"),
    gettext_noop("Several {nouns}, 2 of 3 chosen"),
    gettext_noop("Several {nouns}, as the worst of them"),
    gettext_noop("Take out {name}"),
    gettext_noop("The console cannot be reached. Try again in a moment."),
    gettext_noop("The console did not answer as expected. Try again, or reload the page."),
    gettext_noop("The console is busy, or its database does not answer. Try again in a moment."),
    gettext_noop("The map could not be loaded. The list beside it does the same; turn the switch to try again."),
    gettext_noop("This is not here any more. Reload the page."),
    gettext_noop("Unknown"),
    gettext_noop("Will be taken out"),
    gettext_noop("You may not do this. If that is a surprise, reload the page."),
    gettext_noop("at risk"),
    gettext_noop("attached"),
    gettext_noop("available"),
    gettext_noop("cannot be chosen"),
    gettext_noop("chosen"),
    gettext_noop("falling behind"),
    gettext_noop("newly chosen"),
    gettext_noop("not recoverable"),
    gettext_noop("not set up yet"),
    gettext_noop("nothing is judged in it"),
    gettext_noop("recoverable"),
    gettext_noop("or"),
    gettext_noop("regions"),
    gettext_noop("stores"),
    gettext_noop("unknown"),
    gettext_noop("will be taken out"),
    gettext_noop("{chosen} of {count} {nouns} chosen here"),
    gettext_noop("{count} found"),
    gettext_noop("{count} nodes"),
    gettext_noop("{count} {nouns} here"),
    gettext_noop("{count} {nouns} here, one of them chosen"),
    gettext_noop("{nodes} in {place}"),
    gettext_noop("{nouns} on the map"),
    gettext_noop("{told}; press Enter to spread them"),
)


def script_words() -> str:
    """Return the sentences of the scripts as JSON, each with its translation; "" in English, which they have."""
    if get_language() in {None, settings.LANGUAGE_CODE}:
        return ""
    return json.dumps({one: gettext(one) for one in SENTENCES}, ensure_ascii=False)
