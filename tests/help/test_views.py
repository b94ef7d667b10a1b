"""The manual as pages: for everybody, without scripts, and its search."""

from __future__ import annotations

import re

import pytest

from console.help.chapters import chapters
from console.help.searching import AROUND, MOST, excerpt, search
from console.release import VERSION

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("chapter", chapters(), ids=lambda one: one.slug or "index")
def test_each_chapter_is_shown_to_whoever_is_not_signed_in(client, chapter, django_assert_num_queries):
    with django_assert_num_queries(0):
        answer = client.get(chapter.url)
    assert answer.status_code == 200
    assert answer.text.count("<h1>") == 1
    assert f"<h1>{chapter.rendered.title}</h1>".replace("'", "&#x27;") in answer.text
    assert "style=" not in answer.text
    assert f"Storekeeper {VERSION}" not in answer.text


def test_a_chapter_has_its_contents_and_its_neighbours(client, alice):
    client.force_login(alice)
    page = client.get("/help/tasks/restore/").text
    assert '<a href="#recover-deleted-backups">Recover deleted backups</a>' in page
    assert re.search(r'<h2 id="recover-deleted-backups">', page)
    assert '<a rel="prev" href="/help/tasks/watch/">' in page
    assert '<a rel="next" href="/help/tasks/drill/">' in page
    assert page.count('aria-current="page"') == 1


def test_the_sign_in_page_leads_to_what_helps_there(client):
    assert '<a href="/help/operating/administration/#signing-in">Help</a>' in client.get("/login/").text


def test_each_page_has_version_help_and_licence_at_its_end(client, alice):
    client.force_login(alice)
    page = client.get("/stores/").text
    footer = re.search(r'<footer class="bottom">.*?</footer>', page, re.S)[0]
    assert f"Storekeeper {VERSION}" in footer
    assert 'href="/help/"' in footer
    assert 'href="/help/licence/"' in footer


@pytest.mark.parametrize("path", ["none/", "tasks/", "../manage/", "tasks%2frestore%00/", "docs/index.md/"])
def test_what_is_no_chapter_is_not_there(client, path):
    assert client.get(f"/help/{path}").status_code in {400, 404}


def test_nothing_but_reading(client):
    assert client.post("/help/").status_code == 405
    assert client.post("/help/concepts/").status_code == 405


def test_search_finds_titles_first_and_marks_the_words(client):
    page = client.get("/help/?q=recovery kit").text
    assert page.index("Take the recovery kit") < page.index("</ol>")
    assert "<mark>" in page
    assert 'value="recovery kit"' in page
    assert search("recovery kit")[0].url == "/help/tasks/retained/#take-the-recovery-kit"


@pytest.mark.parametrize(
    ("query", "url"),
    [
        ("does not let the console assume", "/help/troubleshooting/#aws-does-not-let-the-console-assume-"),
        ("S3_ENDPOINTS_ALLOWED", "/help/operating/settings/#addresses"),
        ("pitr", "/help/concepts/#glossary"),
        ("object lock days", "/help/tasks/create-store/#protect-backups-from-deletion"),
    ],
)
def test_search_finds_what_people_look_for(query, url):
    assert url in [one.url for one in search(query)]


def test_search_finds_words_by_their_beginning_and_not_in_the_middle_of_others():
    assert search("comparison")
    assert search("compari")
    for query in ("parison", "omparison", "estore"):
        assert search(query) == []
    assert [one for one in search("paris") if "ompari" in str(one.excerpt) and "Paris" not in str(one.excerpt)] == []


def test_search_without_an_answer_says_so_and_shows_no_markup(client):
    page = client.get("/help/", {"q": "<b>xyzzy</b>%_\\"}).text
    assert "&lt;b&gt;xyzzy" in page
    assert "<b>xyzzy" not in page
    assert "No section has all of these words." in page


@pytest.mark.parametrize("query", ["", " ", "\x00", "a" * 300, "( [ * + ?", "the " * 80, "…", "\u202e"])
def test_search_takes_whatever_is_typed(client, query):
    assert client.get("/help/", {"q": query}).status_code in {200, 400}
    assert len(search(query)) <= MOST


def test_excerpt_is_cut_around_the_first_word():
    text = "start " * 60 + "Needle in hay " + "end " * 200
    pieces = excerpt(text, ["needle"])
    assert [one for one, is_word in pieces if is_word] == ["Needle"]
    assert pieces[0] == ("… ", False)
    assert "".join(one for one, _ in pieces).endswith("end …")
    assert len("".join(one for one, _ in pieces)) < 4 * AROUND
    assert excerpt("", ["x"]) == []
    assert excerpt("Short.", ["none"]) == [("Short.", False)]


def test_the_search_of_everything_finds_help(client, alice):
    client.force_login(alice)
    page = client.get("/search/?q=point-in-time recovery").text
    assert 'href="/help/concepts/#glossary"' in page
    assert 'href="/help/?q=recovery"' in client.get("/search/?q=recovery").text
