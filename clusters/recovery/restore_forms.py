"""What to restore, from where, up to where and where to: a form that is sent by GET and answers with the script."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, cast
from zoneinfo import ZoneInfo

from django import forms
from django.utils.translation import gettext, gettext_lazy

from clusters.pgbackrest.grammar import Unfit, data_directory, lsn, restore_point, transaction
from clusters.pgbackrest.repository import Backup
from clusters.pgbackrest.restore import (
    DEFAULT_TIMELINE,
    FOLDER,
    FOLDER_AT_MOST,
    IMMEDIATE,
    IN_PLACE,
    LATEST,
    LSN,
    MACHINE,
    NAME,
    TIME,
    XID,
    Point,
    Restore,
    too_old,
)
from clusters.pgbackrest.window import Estimate, Window, best, ended, estimate, window
from clusters.recovery.moments import Unclear, moment, zones
from clusters.recovery.restores import Source

TARGETS = (
    (LATEST, gettext_lazy("The end of the archive")),
    (TIME, gettext_lazy("A time")),
    (IMMEDIATE, gettext_lazy("The backup itself, as soon as it is consistent")),
    (NAME, gettext_lazy("A named restore point")),
    (LSN, gettext_lazy("A WAL position (LSN)")),
    (XID, gettext_lazy("A transaction")),
)
TAKES = {TIME: "time", NAME: "point", LSN: "lsn", XID: "xid"}  # the field that says up to where
GRAMMARS: Mapping[str, Callable[[str], str]] = {NAME: restore_point, LSN: lsn, XID: transaction}
BLANK = {
    TIME: gettext_lazy("Give the time."),
    NAME: gettext_lazy("Give the name that pg_create_restore_point() was called with."),
    LSN: gettext_lazy("Give the position, such as 0/3000148."),
    XID: gettext_lazy("Give the transaction's ID."),
}
DEFAULT_FOLDER = "/var/lib/postgresql/restored"


class Choice(forms.ChoiceField):
    """One of what is offered; anything else is said to be not there."""

    def __init__(self, gone: Any, **options: Any) -> None:
        super().__init__(error_messages={"invalid_choice": gone, "required": gone}, **options)


class RestoreForm(forms.Form):
    """One restore; once it is valid, `restore` says all of it."""

    node = Choice(gettext_lazy("There is no node %(value)s here."))
    stanza = Choice(gettext_lazy("There is no database %(value)s on this node."), label=gettext_lazy("Database"))
    repository = Choice(gettext_lazy("This store holds nothing of it."), label=gettext_lazy("From"))
    backup = Choice(
        gettext_lazy("There is no backup %(value)s here. It may have expired; choose another."), required=False
    )
    target = forms.ChoiceField(label=gettext_lazy("Up to"), choices=TARGETS, widget=forms.RadioSelect)
    time = forms.CharField(
        required=False,
        max_length=40,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local", "step": "1"}),
    )
    zone = forms.CharField(label=gettext_lazy("Time zone"), required=False, max_length=60)
    offset = forms.CharField(required=False, max_length=10)
    point = forms.CharField(label=gettext_lazy("Restore point"), required=False, max_length=200)
    lsn = forms.CharField(label=gettext_lazy("WAL position"), required=False, max_length=40)
    xid = forms.CharField(label=gettext_lazy("Transaction ID"), required=False, max_length=40)
    exclusive = forms.BooleanField(label=gettext_lazy("Stop just before it"), required=False)
    timeline = Choice(gettext_lazy("There is no such timeline in the archive."), required=False)
    where = Choice(
        gettext_lazy("The backups' node is not in the cluster, so they can go to a new machine only."),
        label=gettext_lazy("To"),
        widget=forms.RadioSelect,
    )
    folder = forms.CharField(label=gettext_lazy("Folder"), required=False, max_length=200)
    port = forms.CharField(label=gettext_lazy("Port of the copy"), required=False, max_length=10)
    key = forms.BooleanField(
        label=gettext_lazy("The machine has no role of the cluster: the script asks for a key"), required=False
    )

    def __init__(self, data: Mapping[str, str], *, sources: Sequence[Source], lenient: bool) -> None:
        """Take what was given; `lenient` makes something else of what does not fit a changed choice above it."""
        self.lenient, self.sources = lenient, sources
        given = {name: str(data.get(name, "")) for name in self.base_fields}
        of_node = self._narrow(given, "node", {one.state.node: one.state.node for one in sources}, sources)
        stanzas = {one.state.stanza: one.state.stanza for one in of_node}
        of_stanza = self._narrow(given, "stanza", stanzas, of_node)
        self.offered = of_stanza
        found = self._narrow(given, "repository", {str(one.repository.pk): one.name for one in of_stanza}, of_stanza)
        self.source = (found or of_stanza or sources)[0]
        labels = [one.label for one in self.source.backups]
        if lenient and given["backup"] not in labels:
            given["backup"] = ""
        self.wheres = self._wheres()
        if not given["where"] or (lenient and given["where"] not in dict(self.wheres)):
            given["where"] = FOLDER if len(self.wheres) > 1 else MACHINE
        given["target"] = given["target"] or LATEST
        given["zone"] = given["zone"] or "UTC"
        given["timeline"] = given["timeline"] or self.source.usual_timeline
        given["folder"] = given["folder"] or self.usual_folder
        given["port"] = given["port"] or str(self.usual_port)
        super().__init__(given)
        self._offer("node", [(one, one) for one in dict.fromkeys(one.state.node for one in sources)])
        self._offer("stanza", [(one, one) for one in stanzas])
        self._offer("repository", [(str(one.repository.pk), one.name) for one in of_stanza])
        self._offer(
            "backup",
            [("", gettext("The newest that fits")), *((one.label, self._words(one)) for one in self.source.backups)],
        )
        self._offer("timeline", [("", gettext("The newest")), *((str(one), f"{one}") for one in self.timelines)])
        self._offer("where", self.wheres)
        self.restore: Restore | None = None
        self.estimate: Estimate | None = None
        self.moment: datetime | None = None
        self.offsets: list[tuple[str, str]] = []  # to choose from, where the clocks showed the time twice

    def _narrow(
        self, given: dict[str, str], name: str, offered: dict[str, str], among: Sequence[Source]
    ) -> list[Source]:
        """Return the sources that are of what was given; what was not given is the first that is offered."""
        if offered and (not given[name] or (self.lenient and given[name] not in offered)):
            given[name] = next(iter(offered))

        def key(source: Source) -> str:
            return str(source.repository.pk) if name == "repository" else str(getattr(source.state, name))

        return [one for one in among if key(one) == given[name]]

    def _offer(self, name: str, choices: Sequence[tuple[str, str]]) -> None:
        cast("forms.ChoiceField", self.fields[name]).choices = choices

    def _words(self, backup: Backup) -> str:
        """Return a backup as the list of them has it."""
        said = f"{backup.label} · {ended(backup):%Y-%m-%d %H:%M:%S} UTC"
        if self.source.is_foreign(backup):
            return gettext("{said} · another database's").format(said=said)
        return (
            gettext("{said} · prior, PostgreSQL {postgresql_of}").format(
                said=said, postgresql_of=self.source.postgresql_of(backup)
            )
            if self.source.is_prior(backup)
            else said
        )

    def _wheres(self) -> list[tuple[str, str]]:
        source = self.source
        machine = (MACHINE, gettext("A new machine"))
        if not (source.node and source.database):
            return [machine]
        return [
            (FOLDER, gettext("Another folder of {node}: a copy beside it").format(node=source.node)),
            machine,
            (IN_PLACE, gettext("{node} itself: its database goes back").format(node=source.node)),
        ]

    @property
    def timelines(self) -> list[int]:
        """Return the timelines of the present database that the archive has."""
        state = self.source.state
        return sorted({one.number for one in state.timelines if state.archive in {"", one.archive}})

    @property
    def taken(self) -> dict[int, str]:
        """Return the ports of the node's databases."""
        return {one.port: one.name for one in self.source.databases}

    @property
    def usual_folder(self) -> str:
        """Return a folder beside the data directory."""
        return f"{self.source.data_directory}-restored" if self.source.data_directory else DEFAULT_FOLDER

    @property
    def usual_port(self) -> int:
        """Return the first port after the database's own that no other database of the node has."""
        port = self.source.port + 1
        while port in self.taken:
            port += 1
        return port if port < 65536 else 5433

    @property
    def chosen(self) -> str:
        """Return up to what: the kind that was given, also of a form that is wrong elsewhere."""
        return str(self["target"].value())

    @property
    def place(self) -> str:
        """Return where to, also of a form that is wrong elsewhere."""
        return str(self["where"].value())

    @property
    def labelled(self) -> Backup | None:
        """Return the chosen backup, None for the newest that fits."""
        label = self["backup"].value()
        return next((one for one in self.source.backups if one.label == label), None)

    @property
    def read_backup(self) -> Backup | None:
        """Return the backup that is read, as far as that is known."""
        return self.labelled or best(self.source.state, self.moment)

    @property
    def reach(self) -> Window | None:
        """Return to which moments the chosen backup can go, or the best for each."""
        return window(self.source.state, self.labelled)

    @property
    def may_ask_for_key(self) -> bool:
        """Return whether it can be chosen that the script asks for a key."""
        return self.place == MACHINE and bool(self.source.options.brought_key) and not self.source.needs_key

    @property
    def problems(self) -> list[str]:
        """Return the errors that a reader would not expect: not those of a field that is still to be filled in."""
        return [name for name, found in self.errors.as_data().items() if any(one.code != "blank" for one in found)]

    def clean_zone(self) -> str:
        """Return the zone, if there is such a one."""
        zone = self.cleaned_data["zone"]
        if zone not in zones():
            raise forms.ValidationError(gettext("There is no such time zone. Give one such as Europe/Berlin, or UTC."))
        return str(zone)

    def clean_folder(self) -> str:
        """Return the folder of a copy, which is nowhere near a live database."""
        if self.place == IN_PLACE:
            return self.source.data_directory
        try:
            folder = data_directory(self.cleaned_data["folder"])
        except Unfit as error:
            raise forms.ValidationError(str(error)) from error
        if len(folder) > FOLDER_AT_MOST:
            raise forms.ValidationError(
                gettext("At most {folder_at_most} characters: the copy's socket is in it.").format(
                    folder_at_most=FOLDER_AT_MOST
                )
            )
        if self.place == FOLDER:
            self._keep_away_from_databases(folder)
        return folder

    def _keep_away_from_databases(self, folder: str) -> None:
        for one in self.source.databases:
            live = one.data_directory
            if f"{folder}/".startswith(f"{live}/") or live.startswith(f"{folder}/"):
                raise forms.ValidationError(
                    gettext(
                        "This is the data directory of {one}, or inside it, or around it. Choose a folder beside it."
                    ).format(one=one.name)
                )

    def clean_port(self) -> int:
        """Return the port of a copy, which no database of the node has."""
        if self.place == IN_PLACE:
            return self.source.port
        text = self.cleaned_data["port"]
        if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= 65535):
            raise forms.ValidationError(gettext("Give a port from 1 to 65535."))
        if self.place == FOLDER and (name := self.taken.get(int(text))):
            raise forms.ValidationError(
                gettext("{name} listens on this port of the node. Choose another.").format(name=name)
            )
        return int(text)

    def clean(self) -> dict[str, Any]:
        """Check what depends on more than one answer, and put all of it together."""
        data = super().clean() or {}
        self._check_database()
        value = self._value(data) if "target" in data else ""
        if self.errors:
            return data
        backup = self.labelled
        self.restore = Restore(
            cluster=self.source.repository.cluster_name,
            node=self.source.state.node,
            stanza=self.source.state.stanza,
            target=self.source.target,
            point=Point(data["target"], value, data["exclusive"], data["timeline"] or DEFAULT_TIMELINE),
            where=data["where"],
            folder=data["folder"],
            port=data["port"],
            postgresql=self.source.postgresql_of(backup),
            size=self.read_backup.size if self.read_backup else 0,
            label=data["backup"],
            least=self.source.least(backup),
            node_has_it=self.source.node_has_it,
            asks_key=self.source.needs_key or (self.may_ask_for_key and data["key"]),
            layout=self.source.layout,
            service=self.source.there.service if self.source.there else "",
        )
        if self.read_backup:
            self.estimate = estimate(self.source.state, self.read_backup, self.moment)
        return data

    def _check_database(self) -> None:
        source, backup = self.source, self.labelled
        if not source.postgresql_of(backup):
            self.add_error(
                "repository", gettext("Which PostgreSQL this is of is not known yet. Have the store looked into first.")
            )
        if source.state.status == "read" and not source.backups:
            self.add_error("repository", gettext("There is no backup in it. Choose another store."))
        if backup and source.is_foreign(backup):
            self.add_error(
                "backup",
                gettext(
                    "It was written by another database (system identifier {system_id}), not by {stanza} on "
                    "{node}. It is not restored from here."
                ).format(system_id=backup.system_id, stanza=source.state.stanza, node=source.state.node),
            )
        elif not backup and source.view.is_foreign:
            self.add_error(
                "backup",
                gettext(
                    "Another database (system identifier {system_id}) writes here now, so the newest backup "
                    "is not yours. Choose one of yours by its label."
                ).format(system_id=source.state.system_id),
            )
        elif not backup and source.backups and best(source.state) is None:
            self.add_error(
                "backup", gettext("All of these are of the database before its last upgrade: choose one by its label.")
            )
        if backup and source.is_prior(backup) and self.place == IN_PLACE:
            self.add_error(
                "where",
                gettext(
                    "This backup is of the database before its last upgrade (PostgreSQL {postgresql_of}). "
                    "Restore it to another folder or to a new machine."
                ).format(postgresql_of=source.postgresql_of(backup)),
            )
        have, least = source.node.applied_version if source.node else "", source.least(backup)
        if self.place in {FOLDER, IN_PLACE} and too_old(have, least):
            self.add_error(
                "where",
                gettext(
                    "{node} reports pgBackRest {have}, and these backups need {least} or newer. Install "
                    "that, or restore to a new machine that has it."
                ).format(node=source.node, have=have, least=least),
            )

    def _value(self, data: dict[str, Any]) -> str:
        """Return what pgBackRest's --target gets; adds an error to the field where that is wrong."""
        kind, field = data["target"], TAKES.get(data["target"])
        if not field:
            return ""
        text = (data.get(field) or "").strip()
        if not text:
            self.add_error(field, forms.ValidationError(BLANK[kind], "blank"))
            return ""
        try:
            if kind == TIME:
                return self._time(text, data.get("zone") or "UTC", data.get("offset") or "")
            return GRAMMARS[kind](text)
        except Unfit as error:
            self.add_error(field, str(error))
            return ""

    def _time(self, text: str, zone: str, offset: str) -> str:
        """Return a time as pgBackRest takes it, with its offset; raises Unfit, also for one outside the window."""
        try:
            self.moment = moment(text, zone, offset).replace(microsecond=0)
        except Unclear as unclear:
            self.offsets = unclear.choices
            raise Unfit(str(unclear)) from unclear
        reach = self.reach
        if reach and not reach.holds(self.moment):
            there = ZoneInfo(zone)
            text = gettext("{store} goes from {oldest} to {newest} ({zone}). Choose a time between.")
            if self.labelled:
                text = gettext(
                    "{store} goes from {oldest} to {newest} ({zone}) with this backup. Choose a time between."
                )
            oldest, newest = _shown(reach.oldest, there), _shown(reach.newest, there)
            raise Unfit(text.format(store=self.source.name, oldest=oldest, newest=newest, zone=zone))
        return f"{self.moment:%Y-%m-%d %H:%M:%S}+00"


def _shown(moment: datetime, zone: ZoneInfo) -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S}"
