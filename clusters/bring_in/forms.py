"""What is asked to bring in a repository, and to hand its node over."""

from __future__ import annotations

import re
from typing import Any, cast

from django import forms
from django.utils.translation import gettext, gettext_lazy

from clusters.models import BackupPolicy, Cluster
from clusters.pgbackrest import config_file, grammar, kept
from clusters.pgbackrest.grammar import Unfit
from clusters.pgbackrest.options import CONTAINERS, CUSTOMER_KEY
from clusters.pgbackrest.schedules import Unusable, parse
from console.accounts.models import Membership
from console.cloud_accounts.forms import SecretField, named_region
from console.cloud_accounts.models import CloudAccount
from console.clouds.key_trial import KeyTrial
from console.clouds.regions import Region
from console.web.forms import NameField
from console.web.natural import Natural
from stores.forms import offered_by
from stores.models import State, Store

# What stands in a policy of the cloud and in a shell's command; `*`, `?` and `$` mean something there.
PATH = re.compile(r"[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)*")
# As Azure has them ("Naming and Referencing Containers"); they get into commands that people run, too.
CONTAINER = re.compile(r"[a-z0-9](?:-?[a-z0-9]){2,62}")
PATH_AT_MOST, STANZAS_AT_MOST = 300, 20
PORTS = range(1, 65536)
GIVEN, OWN = "given", "own"  # whose key a node signs in with after its hand-over
AREA: dict[str, Any] = {"rows": 12, "spellcheck": "false", "autocomplete": "off"}


class SecretArea(forms.Textarea):
    """A text with secrets in it: typed, and never given back to a page."""

    def format_value(self, value: Any) -> str:
        """Return nothing."""
        return ""


def clean_path(text: str) -> str:
    """Return the path without slashes at its ends, "" for the whole bucket; raises Unfit."""
    path = text.strip().strip("/")
    if not path:
        return ""
    if len(path) > PATH_AT_MOST or not PATH.fullmatch(path) or {".", ".."} & {*path.split("/")}:
        raise Unfit(
            gettext("A path has letters, digits, dots, - and _, with one / between its folders, such as /backups/prod.")
        )
    return path


class BringInForm(forms.Form):
    """A repository that is there: its file, or path, stanzas and passphrase; and what its cluster is called."""

    store = forms.ModelChoiceField(
        Store.objects.none(),
        label=gettext_lazy("Backup Store"),
        empty_label=gettext_lazy("Choose a store"),
        error_messages={
            "required": gettext_lazy("Choose the store that it is in."),
            "invalid_choice": gettext_lazy("Choose one of the stores."),
        },
    )
    name = NameField(
        label=gettext_lazy("Cluster Name"), error_messages={"required": gettext_lazy("Give the cluster a name.")}
    )
    region = forms.CharField(label=gettext_lazy("Region of the Node"), max_length=80, required=False)
    upload = forms.FileField(label=gettext_lazy("pgbackrest.conf"), required=False, allow_empty_file=False)
    text = forms.CharField(
        label=gettext_lazy("Or paste it"),
        required=False,
        strip=False,
        max_length=config_file.BYTES_AT_MOST,
        widget=SecretArea(attrs=AREA),
    )
    stanzas = forms.CharField(label=gettext_lazy("Stanzas"), max_length=400, required=False)
    path = forms.CharField(label=gettext_lazy("Path"), max_length=PATH_AT_MOST + 2, required=False)
    passphrase = SecretField(label=gettext_lazy("Passphrase"), required=False, max_length=1024)

    def __init__(self, data: Any = None, files: Any = None, *, membership: Membership, **options: Any) -> None:
        super().__init__(data, files, **options)
        self.membership = membership
        stores = Store.objects.visible_to(membership).filter(state=State.AVAILABLE).select_related("cloud_account")
        self.stores.queryset = stores.order_by(Natural("name"))

    @property
    def stores(self) -> forms.ModelChoiceField[Store]:
        """Return the field that chooses the store."""
        return cast("forms.ModelChoiceField[Store]", self.fields["store"])

    @property
    def suggestions(self) -> list[Region]:
        """Return the regions of the stores' clouds, by code and place, to choose from while typing."""
        accounts = CloudAccount.objects.visible_to(self.membership).filter(stores__in=self.stores.queryset)
        return offered_by(accounts, self.membership.organisation)

    def clean_store(self) -> Store:
        """Return the store, if its account has proved itself."""
        store: Store = self.cleaned_data["store"]
        if why := store.cloud_account.unproven:
            raise forms.ValidationError(why)
        return store

    def clean_name(self) -> str:
        """Return the name, if no other cluster of the organisation has it."""
        name = str(self.cleaned_data["name"])
        if Cluster.objects.filter(organisation=self.membership.organisation).named(name).exists():
            raise forms.ValidationError(gettext("A cluster of this name exists. Choose another name."))
        return name

    def clean_passphrase(self) -> str:
        """Return the passphrase, if it is one line: it is the rest of one in pgBackRest's file."""
        text = str(self.cleaned_data["passphrase"] or "")
        if not grammar.is_a_line(text):
            raise forms.ValidationError(gettext("A passphrase is one line, without spaces at its ends."))
        return text

    def clean(self) -> dict[str, Any]:
        """Check what belongs together: the file and its stanzas, or path and stanzas, and the region."""
        data = super().clean() or {}
        text = self._text(data)
        for name, check in (("region", self._region), ("stanzas", self._file if text else self._fields)):
            if name in data and "store" in data:
                try:
                    check(data, text)
                except forms.ValidationError as error:
                    self.add_error(None if hasattr(error, "error_dict") else name, error)
        return data

    def _text(self, data: dict[str, Any]) -> str:
        """Return the file as text, whichever way it came."""
        upload = data.get("upload")
        if upload is None:
            return str(data.get("text") or "").strip("\ufeff") and str(data["text"]).replace("\r\n", "\n")
        if data.get("text"):
            self.add_error("text", gettext("Upload the file or paste it, not both."))
        if upload.size > config_file.BYTES_AT_MOST:
            self.add_error(
                "upload",
                gettext("The file is larger than {bytes_at_most} KiB.").format(
                    bytes_at_most=config_file.BYTES_AT_MOST // 1024
                ),
            )
            return ""
        try:
            data["text"] = upload.read().decode()
        except UnicodeDecodeError:
            self.add_error("upload", gettext("This is not a text file in UTF-8."))
            return ""
        return str(data["text"])

    def _region(self, data: dict[str, Any], _: str) -> None:
        store: Store = data["store"]
        account = store.cloud_account
        data["region"] = named_region(data["region"] or store.region, account, account.regions)

    def _fields(self, data: dict[str, Any], _: str) -> None:
        if "upload" in self.errors or "text" in self.errors:
            return
        if not (names := _names(data["stanzas"])):
            raise forms.ValidationError(gettext("Name the stanzas, or give the file that has them."))
        if len(_fit(names)) > 1:
            raise forms.ValidationError(
                gettext(
                    "Without the file nobody knows the ports and data directories of several. Name one, or "
                    "give the file."
                )
            )
        data["stanzas"] = names
        try:
            data["path"] = clean_path(data.get("path", ""))
        except Unfit as error:
            self.add_error("path", str(error))
        if data.get("path") == "" and data["store"].cloud.access.in_containers and self.data.get("path", "").strip():
            self.add_error("path", gettext("Begin with the container, such as /backups/prod for /prod in backups."))
        if not self.data.get("path", "").strip():
            self.add_error("path", gettext("Give the path as repo1-path has it; / is the whole bucket."))

    def _file(self, data: dict[str, Any], text: str) -> None:
        try:
            file = config_file.read(text)
            there = check_file(file)
            names = _fit(_names(data["stanzas"]) or there)
            if missing := [one for one in names if one not in there]:
                raise forms.ValidationError(gettext("The file has no stanza {missing}.").format(missing=missing[0]))
            # Of these stanzas: the section of each may say something else of a repository than [global] does.
            found = kept.former(file, names)
            check_repositories(found)
        except (config_file.Refused, Unfit) as error:
            self.add_error("upload" if data.get("upload") else "text", str(error))
            return
        data["stanzas"], data["text"] = names, text
        _check_stanzas(found)
        if option := kept.differing(file, names):
            raise forms.ValidationError(
                gettext(
                    "{option} is not the same for these stanzas, and a cluster has one for all. Bring them "
                    "in one after the other: name those that have it alike, and give the rest a cluster of "
                    "their own."
                ).format(option=option)
            )

    def entered(self) -> dict[str, Any]:
        """Return what a worker needs, as it is kept."""
        data = self.cleaned_data
        return {
            "store": str(data["store"].pk),
            "text": data.get("text") or "",
            **{name: data[name] for name in ("name", "region", "stanzas", "path", "passphrase")},
        }


def _names(text: str) -> list[str]:
    return list(dict.fromkeys(re.split(r"[\s,]+", text.strip(" ,")))) if text.strip(" ,") else []


def _fit(names: list[str]) -> list[str]:
    if len(names) > STANZAS_AT_MOST:
        raise forms.ValidationError(
            gettext("At most {stanzas_at_most} stanzas of one machine; {names} were named.").format(
                stanzas_at_most=STANZAS_AT_MOST, names=len(names)
            )
        )
    for one in names:
        try:
            grammar.stanza(one)
        except Unfit as error:
            raise forms.ValidationError(f"{one[:40]}: {error}") from error
    return names


def check_file(file: config_file.ConfigFile) -> list[str]:
    """Return the names of the stanzas of a file; raises Unfit where the console cannot go on with it as a whole."""
    if not (names := file.stanzas):
        raise Unfit(gettext("No stanza is in it. Take the file of the machine that runs PostgreSQL, with its stanzas."))
    if line := kept.unprintable(file):
        raise Unfit(
            gettext("Line {numbers}: the value has a character that cannot be seen. Write it anew.").format(
                numbers=line.numbers[0]
            )
        )
    return names


def check_repositories(found: kept.Former) -> None:
    """Raise Unfit for a repository that the console cannot go on with, as the stanzas that are brought in see it."""
    for one in found.repositories:
        if one.cipher not in {"none", "aes-256-cbc"}:
            raise Unfit(gettext("repo{number}-cipher-type is none or aes-256-cbc.").format(number=one.number))
        if one.sse_key:
            raise Unfit(
                gettext("repo{number} has {customer_key}: the console could not read the objects.").format(
                    number=one.number, customer_key=CUSTOMER_KEY
                )
            )
        if one.bucket and one.container == "" and one.type in CONTAINERS:
            raise Unfit(
                gettext("repo{number} has no {containers}.").format(number=one.number, containers=CONTAINERS[one.type])
            )
        if one.container and not CONTAINER.fullmatch(one.container):
            raise Unfit(
                gettext("repo{number} has a {containers} that Azure does not take.").format(
                    number=one.number, containers=CONTAINERS[one.type]
                )
            )
        if one.bucket:
            clean_path(one.path)
        _numbers(one)


def _numbers(one: kept.FormerRepository) -> None:
    for name in ("full", "diff"):
        if name in one.retention and not 1 <= int(one.retention[name]) <= 9_999_999:
            raise Unfit(gettext("repo{number}-retention-{name} is 1 to 9999999.").format(number=one.number, name=name))


def _check_stanzas(found: kept.Former) -> None:
    """Raise ValidationError where the stanzas are not those of one machine."""
    for one in found.stanzas:
        if not one.data_directory:
            raise forms.ValidationError(
                gettext("{one} has no pg1-path. Take the file of the machine that runs it.").format(one=one.name)
            )
        try:
            grammar.data_directory(one.data_directory)
        except Unfit as error:
            raise forms.ValidationError(
                gettext("pg1-path of {one}: {error}").format(one=one.name, error=error)
            ) from error
        if one.port not in PORTS:
            raise forms.ValidationError(gettext("pg1-port of {one} is 1 to 65535.").format(one=one.name))
    for values, words in (
        ([one.port for one in found.stanzas], "port"),
        ([one.data_directory for one in found.stanzas], "data directory"),
    ):
        if len({*values}) < len(values):
            raise forms.ValidationError(
                gettext(
                    "Two of these stanzas have the same {words}, so they are of two machines. Name the "
                    "stanzas of one machine here, and bring the others in after it. A list with a line for "
                    "each machine and the same cluster name makes one cluster of them."
                ).format(words=words)
            )


class TakeBackForm(forms.Form):
    """That the machine has its former file and schedule again, before its access is taken back."""

    done = forms.BooleanField(
        required=False,
        label=gettext_lazy("Its machine archives and makes backups by the former file again, with a key of its own."),
    )

    def __init__(self, data: Any = None, *, machines: int = 1) -> None:
        super().__init__(data)
        self.machines = machines
        if machines > 1:
            said = (
                f"All {machines} machines archive and make backups by their former files again, with keys of their own."
            )
            self.fields["done"].label = said

    def clean_done(self) -> bool:
        """Return whether it is so; raises ValidationError where it is not."""
        if not self.cleaned_data["done"]:
            raise forms.ValidationError(
                gettext("Do that first: without access its WAL stays in pg_wal until that is full.")
            )
        return True


class HandOverForm(forms.ModelForm):  # type: ignore[type-arg]
    """When backups are made from now on, and that what is left out has been seen."""

    left = forms.BooleanField(required=False)
    access = forms.ChoiceField(choices=[(GIVEN, GIVEN), (OWN, OWN)], required=False)
    own = forms.CharField(
        label=gettext_lazy("The former file, or its lines with the key"),
        required=False,
        strip=False,
        max_length=config_file.BYTES_AT_MOST,
        widget=SecretArea(attrs={**AREA, "rows": 5}),
    )
    anyway = forms.BooleanField(required=False)
    trial: KeyTrial | None = None  # what became of trying the key, when that keeps it from being taken

    class Meta:
        model = BackupPolicy
        fields = ["full_schedule", "diff_schedule", "incr_schedule"]

    def __init__(self, data: Any = None, *, leaves: bool, **options: Any) -> None:
        super().__init__(data, **options)
        self.leaves = leaves

    def clean_left(self) -> bool:
        """Return whether it was seen that something of the file is left out."""
        if self.leaves and not self.cleaned_data["left"]:
            raise forms.ValidationError(gettext("Say that you have seen which repositories get nothing any more."))
        return bool(self.cleaned_data["left"])

    @property
    def is_own(self) -> bool:
        """Return whether the node is to go on with the key that it has."""
        return (self["access"].value() or GIVEN) == OWN

    def accepts(self, trial: KeyTrial) -> bool:
        """Return whether the key is to be taken after this trial; what is wrong with it is said beside its field."""
        if not (trial.refused or trial.unread or trial.untried):
            return True
        if trial.may_be_kept_anyway and self.cleaned_data["anyway"]:
            return True
        self.trial = trial
        why = trial.untried or "What nodes write with it could not be read." if not trial.refused else trial.refused[0]
        self.add_error("own", gettext("{why} Nothing was changed.").format(why=why))
        return False

    def clean(self) -> dict[str, Any]:
        """Check that each schedule comes, and that full backups are among them."""
        data = super().clean() or {}
        for field in self.Meta.fields:
            expression = data[field] = " ".join(data.get(field, "").split())
            try:
                if expression:
                    parse(expression)
            except Unusable as error:
                self.add_error(field, str(error))
        if self.is_own and not (data.get("own") or "").strip() and "own" not in self.errors:
            self.add_error("own", gettext("Give the former file once more, or its lines with the key."))
        if not data.get("full_schedule") and not self.errors:
            self.add_error("full_schedule", gettext("Plan full backups: the former schedule is to end."))
        return data
