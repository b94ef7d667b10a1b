"""A folder on this machine as the bucket that a repository is in."""

from __future__ import annotations

from datetime import UTC, datetime

from console.clouds.contents import Entry


class Folder:
    """A folder as a bucket."""

    def __init__(self, root):
        self.root = root
        self.calls = []

    def folders(self, prefix):
        self.calls.append(("folders", prefix))
        there = self.root / prefix
        return sorted(one.name for one in there.iterdir() if one.is_dir()) if there.is_dir() else []

    def entries(self, prefix):
        self.calls.append(("entries", prefix))
        keys = sorted(str(one.relative_to(self.root)) for one in self.root.rglob("*") if one.is_file())
        for key in keys:
            if key.startswith(prefix):
                stat = (self.root / key).stat()
                yield Entry(key, stat.st_size, datetime.fromtimestamp(stat.st_mtime, UTC))

    def read(self, key, at_most):
        there = self.root / key
        return there.read_bytes()[:at_most] if there.is_file() else None
