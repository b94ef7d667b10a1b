"""The names of static files: a module asks for the hashed names of the modules that it imports."""

from __future__ import annotations

import re
import shutil

import pytest
from django.core.files.storage import FileSystemStorage

from console.web.static_files import Storage
from tests.demo_process import ROOT

MODULES = sorted(path.name for path in (ROOT / "static").glob("*.js"))
IMPORTED = re.compile(r"""(?:\bfrom|\bimport)\s*\(?\s*["'`]([^"'`]*)["'`]""")


@pytest.fixture(scope="module")
def collected(tmp_path_factory):
    """Our modules as `collectstatic` leaves them: their text by their plain names."""
    folder = tmp_path_factory.mktemp("static")
    for name in MODULES:
        shutil.copy(ROOT / "static" / name, folder)
    storage = Storage(location=folder)
    source = FileSystemStorage(location=ROOT / "static")
    list(storage.post_process({name: (source, name) for name in MODULES}))
    return folder, {name: (folder / storage.hashed_files[name]).read_text() for name in MODULES}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_files_that_are_there_by_their_hashed_names(collected, name):
    folder, texts = collected
    asked = IMPORTED.findall(texts[name])
    assert len(asked) == len(IMPORTED.findall((ROOT / "static" / name).read_text()))
    for path in asked:
        assert re.fullmatch(r"\./[\w-]+\.[0-9a-f]{12}\.js", path), path
        assert (folder / path).is_file()


def test_the_modules_are_those_that_import_each_other():
    assert sum(bool(IMPORTED.search((ROOT / "static" / name).read_text())) for name in MODULES) >= 5
