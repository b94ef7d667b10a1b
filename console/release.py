"""Which release this is, said here alone: pyproject.toml and CHANGELOG.md follow it (tests/test_release.py)."""

VERSION = "0.1.0"
