"""What all clouds share speaks in no cloud's own words: the cloud says them, in `Vocabulary`."""

from __future__ import annotations

import re
from dataclasses import fields
from types import SimpleNamespace

import pytest

from console.clouds import CLOUDS
from console.clouds.vocabulary import Vocabulary
from stores.actions import too_many
from tests.demo_process import ROOT
from tests.sentences import sentences_of_python, sentences_of_template

# Of what the clouds call things, the words that everybody uses for something else, too.
PLAIN = {"account", "account ID", "in", "in this account", "in this project", "label", "on", "server", "The server"}
WORDS = {getattr(one.vocabulary, field.name) for one in CLOUDS.values() for field in fields(Vocabulary)} - PLAIN
NAMES = {"AWS", "Amazon", "ARN", "Azure", "Google", "IAM", "S3"}
WORD = re.compile(rf"\b(?:{'|'.join(sorted(map(re.escape, WORDS | NAMES)))})s?\b", re.IGNORECASE)

# What speaks of several clouds at once, with the words that it may use: "bucket" is the guide's for all of them.
SEVERAL_CLOUDS = {
    "console/settings.py": {"arn"},  # what AWS_PRINCIPAL wants
    "stores/actions.py": {"bucket"},  # the audit's actions, which its filter offers for all accounts
    "templates/cloud_accounts/list.html": {"aws", "azure", "bucket", "google", "project", "s3", "subscription"},
    "templates/admin/find.html": {"arn", "bucket"},
    "templates/admin/support_index.html": {"arn", "bucket"},
    "templates/clusters/node_edit.html": {"project"},  # PostgreSQL's
    "clusters/bring_in/forms.py": {"azure", "bucket"},
    "templates/clusters/bring_in.html": {"azure", "bucket"},
    "templates/clusters/hand_over.html": {"bucket"},
    "console/api/existing_calls.py": {"bucket", "tag"},
    "console/api/unmanaged_calls.py": {"tag"},
    "console/overview/finding.py": {"bucket"},
    "console/web/retold.py": {"bucket", "storage account"},  # phrases for the catalogs, of all clouds
    "templates/overview/search.html": {"bucket"},
    "stores/existing/forms.py": {"bucket"},
    "stores/existing/views.py": {"bucket"},
    "templates/stores/existing/add.html": {"bucket"},
    "templates/stores/existing/detail.html": {"bucket"},
    "templates/stores/existing/import.html": {"bucket"},
    "templates/stores/existing/list.html": {"bucket", "tag"},
    "templates/stores/_retained.html": {"bucket"},
    "templates/stores/_unmanaged.html": {"bucket"},
    "templates/stores/edition.html": {"bucket"},
    "templates/stores/list.html": {"bucket"},
    "templates/stores/unmanaged_list.html": {"bucket"},
}


def shared():
    """Every file of the product that belongs to no cloud, with its sentences."""
    python = [path for top in ("console", "stores", "clusters") for path in (ROOT / top).rglob("*.py")]
    for path in [*python, *ROOT.glob("templates/**/*.html")]:
        name = path.relative_to(ROOT).as_posix()
        if (
            not re.match(
                r"(console/clouds/(aws|azure|google|s3|s3api)/|console/clouds/(?:contract|vocabulary)\.py|clusters/pgbackrest/options\.py|"
                r"console/demo/)",
                name,
            )
            and "/migrations/" not in name
        ):
            read = sentences_of_python if path.suffix == ".py" else sentences_of_template
            for sentence in read(path.read_text()):
                if " " in sentence.strip() or path.suffix == ".html":  # one word of the code is hardly for people
                    yield name, " ".join(sentence.split())


def test_no_cloud_s_word_stands_in_what_all_clouds_share():
    used, wrong = {}, []
    for name, sentence in shared():
        words = {word.lower().removesuffix("s") if word != "AWS" else "aws" for word in WORD.findall(sentence)}
        used.setdefault(name, set()).update(words)
        if words - SEVERAL_CLOUDS.get(name, set()):
            wrong.append(f"{name}: {sentence}")
    assert not wrong, "let the cloud say it (Vocabulary):\n" + "\n".join(wrong)
    assert {name: used.get(name, set()) for name in SEVERAL_CLOUDS} == SEVERAL_CLOUDS, "take off what is gone"


@pytest.mark.parametrize(
    ("read", "text", "found"),
    [
        (sentences_of_python, 'say(f"Both {what} buckets of it")', ["buckets"]),
        (sentences_of_python, '"""Both buckets of it."""', []),
        (
            sentences_of_python,
            'def one():\n    """Both buckets."""\n    return "Both storage accounts"',
            ["storage accounts"],
        ),
        (sentences_of_template, '<p class="bucket">Its <b>tag</b> {{ one.label }}</p>', ["tag"]),
        (sentences_of_template, '{% include "_copy.html" with label="Bucket ARN" value=bucket %}', ["Bucket", "ARN"]),
        (sentences_of_template, '<a aria-label="The IAM role" href="/s3/">{{ bucket }}</a>', ["IAM"]),
        (sentences_of_template, "{% comment %}A bucket.{% endcomment %}<p>A {{ words.bucket }}</p>", []),
    ],
)
def test_words_are_found_where_people_read_them(read, text, found):
    assert [word for one in read(text) for word in WORD.findall(one)] == found


@pytest.mark.parametrize("key", CLOUDS)
def test_every_cloud_says_what_to_take_off_where_two_claim_to_be_one_store_s(key):
    words = CLOUDS[key].vocabulary
    explained = SimpleNamespace(account=SimpleNamespace(cloud=CLOUDS[key]))
    assert f"Several {words.bucket}s of one kind carry this store's {words.tag}." in too_many(explained)
    assert f"take the {words.tag} {words.owner_tag} off the others" in too_many(explained)


def test_google_calls_it_a_label_and_writes_it_without_a_colon():
    assert {key: (one.vocabulary.tag, one.vocabulary.owner_tag) for key, one in CLOUDS.items()} == {
        "aws": ("tag", "storekeeper:store-id"),
        "azure": ("tag", "storekeeper:store-id"),
        "google": ("label", "storekeeper-store-id"),
        "s3": ("tag", "storekeeper:store-id"),
    }
