"""Lists of repositories to bring in, as CSV or through the API: each line is checked as the dialog's fields are.

Each line is a machine; several machines of one repository are lines with the same cluster name. Those with the same
stanzas are hosts of one replication, such as a primary and its standbys; those that have none in common only share the
repositories.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.utils.translation import gettext, gettext_lazy

from clusters.bring_in.forms import AREA, BringInForm, SecretArea
from clusters.bring_in.opening import STANZAS_AT_MOST, entered, path_of
from clusters.models import NODES_AT_MOST
from clusters.pgbackrest import config_file
from clusters.pgbackrest.kept import Former, FormerRepository
from console.accounts.models import Membership
from console.cloud_accounts.models import CloudAccount
from console.web.csv_lines import CSVForm
from stores.models import Store

FILES_AT_MOST = 10  # as settings.DATA_UPLOAD_MAX_NUMBER_FILES has it
SHOWN_AT_MOST = 64 * 1024  # characters of another machine's file that are kept, to be compared with its new one
Errors = list[tuple[str, str]]  # field, and what is wrong with it


class Wrong(Exception):
    """A line cannot be taken."""

    def __init__(self, errors: Errors) -> None:
        super().__init__(errors)
        self.errors = errors


@dataclass
class Wish:
    """A cluster that a list asks for: what its first line says, and what its other machines have."""

    line: int
    account: CloudAccount
    given: dict[str, Any]
    former: Former
    machines: list[dict[str, Any]] = field(default_factory=list)
    others: list[tuple[int, Former]] = field(default_factory=list)  # first machines of other stanzas, by their lines

    @property
    def firsts(self) -> list[tuple[int, Former]]:
        """Return the first machine of each set of stanzas, by its line."""
        return [(self.line, self.former), *self.others]

    def entered(self) -> dict[str, Any]:
        """Return what a worker needs, as it is kept."""
        return {**self.given, "machines": self.machines}

    def places(self) -> set[tuple[str, str, str]]:
        """Return which stanzas it has where: bucket, path, stanza."""
        there = [one for one in self.former.repositories if one.bucket]
        stanzas = {name for _, former in self.firsts for name in _stanzas(former)}
        return {(one.bucket, path_of(one), name) for one in there for name in stanzas}


class Reader:
    """Reads a list line by line."""

    def __init__(self, membership: Membership, word: str = "line") -> None:
        self.membership, self.word = membership, word  # what the list calls one of its own
        self.wishes: list[Wish] = []

    def take(self, number: int, given: Mapping[str, str]) -> None:
        """Take what a line says, by the names of BringInForm's fields; raises Wrong with all that is wrong there."""
        form = BringInForm(given, membership=self.membership)
        if not form.is_valid():
            raise Wrong([(name, " ".join(map(str, said))) for name, said in form.errors.items()])
        data = form.entered()
        wish = Wish(number, form.cleaned_data["store"].cloud_account, data, entered(data))
        same = next((one for one in self.wishes if one.given["name"].lower() == data["name"].lower()), None)
        if same is None:
            self._refuse_twice(wish)
            self.wishes.append(wish)
            return
        if errors := [*self._disagreeing(same, wish)]:
            raise Wrong(errors)
        if len(same.machines) + 2 > NODES_AT_MOST:
            raise Wrong([("name", f"A cluster has at most {NODES_AT_MOST} nodes.")])
        first = next((one for _, one in same.firsts if _stanzas(one) == _stanzas(wish.former)), None)
        same.machines.append(_machine(same.former, first, wish))
        if first is None:
            self._refuse_twice(wish, same)
            same.others.append((number, wish.former))

    def _refuse_twice(self, wish: Wish, same: Wish | None = None) -> None:
        for one in self.wishes:
            if one is not same and wish.places() & one.places():
                raise Wrong(
                    [
                        (
                            "name",
                            f"{self._named(one)} has a stanza of this repository, too. If both are machines of one "
                            f"replication, give both the same cluster name; if not, take it out of one of them.",
                        )
                    ]
                )

    def _named(self, wish: Wish) -> str:
        return f"{self.word.capitalize()} {wish.line}"

    def _disagreeing(self, first: Wish, other: Wish) -> Iterator[tuple[str, str]]:
        """Yield in what a machine is not one of the same repositories, so that both cannot be of one cluster."""
        where = f"{self._named(first)} has the same cluster name"
        if first.given["store"] != other.given["store"]:
            yield "store", f"{where} and another store."
            return
        ours, theirs = _stanzas(other.former), [(line, _stanzas(one)) for line, one in first.firsts]
        common = next(((line, one) for line, one in theirs if one & ours and one != ours), None)
        if common:
            said = f"{self.word.capitalize()} {common[0]} has the same cluster name and other stanzas"
            yield (
                "stanzas",
                f"{said}: {', '.join(sorted(common[1]))}. Machines of one cluster have the same stanzas, or none in "
                "common.",
            )
        is_another = not any(one & ours for _, one in theirs)
        if is_another and len(ours.union(*(one for _, one in theirs))) > STANZAS_AT_MOST:
            yield "stanzas", f"At most {STANZAS_AT_MOST} stanzas of one cluster. Give it another cluster name."
        there = {one.number: one for one in first.former.repositories}
        mine = {one.number: one for one in other.former.repositories}
        if {*there} != {*mine}:
            names = ", ".join(f"repo{number}" for number in sorted(there))
            yield "file", f"{where} and other repositories: {names}."
        for number in sorted(one for one in {*there} & {*mine} if there[one].bucket or mine[one].bucket):
            if there[number].bucket != mine[number].bucket:
                yield "file", f"repo{number} is in another place. {where}."
            elif path_of(there[number]) != path_of(mine[number]):
                yield "path", f"repo{number} has another path. {where}: /{path_of(there[number])}."
            elif there[number].passphrase != mine[number].passphrase:
                yield "passphrase", f"repo{number} has another passphrase. {where}."
            elif is_another and (option := min({*_options(there[number])} ^ {*_options(mine[number])}, default=None)):
                # Of two retentions one would be lost, and backups with it.
                yield (
                    "file",
                    f"repo{number}-{option[0]} is not as in {self._named(first)}, and a cluster has one for all. Give "
                    "it another cluster name.",
                )


def _stanzas(former: Former) -> set[str]:
    return {one.name for one in former.stanzas}


def _machine(cluster: Former, first: Former | None, other: Wish) -> dict[str, Any]:
    """Return what is kept of another machine of a cluster; `first` is the first with the same stanzas, None for none.

    Of the first with other stanzas also what its file says of these alone, and the file, secrets hidden.
    """
    found = other.former
    kept: dict[str, Any] = {
        "region": other.given["region"],
        "databases": {one.name: {"data_directory": one.data_directory, "port": one.port} for one in found.stanzas},
        "differs": [*dict.fromkeys(_differing(first or cluster, found, () if first else _stanzas(found)))],
    }
    if first is None:
        text, names = other.given["text"], _stanzas(found)
        kept["lines"] = [one.as_json() for one in found.lines if one.section.partition(":")[0] in names]
        kept["remarks"] = [[one.what, one.why] for one in found.remarks if one not in cluster.remarks]
        kept["shown"] = config_file.read(text).shown() if 0 < len(text) <= SHOWN_AT_MOST else []
    return kept


def _differing(first: Former, other: Former, own: Collection[str]) -> Iterator[str]:
    """Yield the options that two files of one repository have otherwise; no value of them.

    What stands in the sections of stanzas that only the other has, `own`, is compared with nothing.
    """
    there = {one.number: {*_options(one)} for one in first.repositories}
    for one in other.repositories:
        for name, _ in sorted(there[one.number] ^ {*_options(one)}):
            yield f"repo{one.number}-{name}"
    lines = [{(one.section, one.name, one.value) for one in each.lines} for each in (first, other)]
    for section, name, _ in sorted(lines[0] ^ lines[1]):
        if not own or section.partition(":")[0] == config_file.GLOBAL:
            yield f"[{section}] {name}"


def _options(one: FormerRepository) -> Iterator[tuple[str, str]]:
    yield from one.kept
    for name, value in one.retention.items():
        yield f"retention-{name}", value


class FilesInput(forms.ClearableFileInput):
    """Takes several files."""

    allow_multiple_selected = True


class FilesField(forms.FileField):
    """Several files, by name."""

    widget = FilesInput

    def clean(self, data: Any, initial: Any = None) -> dict[str, str]:
        """Return the texts of the files by their names; raises ValidationError for one that is none."""
        found: dict[str, str] = {}
        given: list[Any] = data if isinstance(data, list) else [data] if data else []
        if len(given) > FILES_AT_MOST:
            raise forms.ValidationError(
                gettext("At most {files_at_most} files at once.").format(files_at_most=FILES_AT_MOST)
            )
        for one in given:
            name = str(super().clean(one, initial).name)
            if name in found:
                raise forms.ValidationError(
                    gettext("Two of the files are called {name}. Rename one, and name that.").format(name=name)
                )
            if (one.size or 0) > config_file.BYTES_AT_MOST:
                raise forms.ValidationError(
                    gettext("{name} is larger than {bytes_at_most} KiB.").format(
                        name=name, bytes_at_most=config_file.BYTES_AT_MOST // 1024
                    )
                )
            try:
                found[name] = one.read().decode()
            except UnicodeDecodeError:
                raise forms.ValidationError(gettext("{name} is not a text file in UTF-8.").format(name=name)) from None
        return found


class ListForm(CSVForm):
    """Repositories to look at, a machine a line; and the files that the lines name."""

    columns = ("name", "store", "path", "stanzas", "passphrase", "file", "region")

    files_given = FilesField(label=gettext_lazy("Files that the list names"), required=False)
    lines = forms.CharField(
        label=gettext_lazy("Repositories"),
        max_length=CSVForm.base_fields["lines"].max_length,  # type: ignore[attr-defined]
        error_messages=CSVForm.base_fields["lines"].error_messages,
        widget=SecretArea(attrs={**AREA, "rows": 8}),
    )
    field_order = ("files_given", "lines")  # the files first: the lines need them

    def __init__(self, data: Any = None, files: Any = None, *, membership: Membership) -> None:
        super().__init__(data, files)
        self.reader = Reader(membership)
        stores = Store.objects.visible_to(membership)
        self.stores = {one.name.lower(): str(one.pk) for one in stores.only("pk", "name")}

    def take(self, number: int, row: dict[str, str]) -> None:
        """Take a line; raises ValidationError with all that is wrong, by column."""
        given = {name: row[name] for name in ("name", "path", "stanzas", "passphrase", "region")}
        if (store := self.stores.get(row["store"].lower())) is None and row["store"]:
            raise forms.ValidationError(gettext("store: There is no store of this name."))
        if name := row["file"]:
            texts = self.cleaned_data.get("files_given")
            if texts is None:
                raise forms.ValidationError(gettext("file: The files could not be read."))
            if name not in texts:
                raise forms.ValidationError(gettext("file: No file of this name was uploaded."))
            if row["path"]:
                raise forms.ValidationError(gettext("path: The file has the path already. Leave one of the two empty."))
            given["text"] = texts[name]
        try:
            self.reader.take(number, {**given, "store": store or ""})
        except Wrong as error:
            said = [f"{'file' if name in {'text', 'upload'} else name}: {words}" for name, words in error.errors]
            raise forms.ValidationError(said) from None
