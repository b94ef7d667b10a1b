"""The script that makes a machine a drill machine: one that reads a cluster's backups, tries them, and reports. Pure.

It needs PostgreSQL and pgBackRest and nothing else of a node: no stanza, no archiving, no server of its own. It is a
guest in a folder of its own, so the machine may be a node, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from clusters.handover.drill_script import drill_script
from clusters.handover.guest import Placed, guest_script
from clusters.handover.schedule_files import drill_lines
from clusters.handover.undo import FUNCTIONS as UNDO
from clusters.handover.undo import undo_lines, undo_script
from clusters.handover.version_check import version_check
from clusters.pgbackrest.configuration import BY_NUMBER, Configuration, StanzaConfiguration, Target
from clusters.pgbackrest.drill import Drills, command
from clusters.pgbackrest.layout import CRON, File
from clusters.pgbackrest.root_script import EXECUTABLE, PRIVATE, PUBLIC, ROOT_S

FUNCTIONS = r"""
look_at_crontab() { # OWNER:GROUP MODE PATH DIGEST
  if is_folder CRON; then
    only_root_changes CRON
    look "$@"
    command -v cron >/dev/null || command -v crond >/dev/null ||
      note "No cron runs here: install it, or nothing is tried."
  else
    note "There is no CRON, so nothing is tried by itself: have what runs commands here run, as $user: COMMANDS"
  fi
}

look_for_programs() {
  as_user sh -c 'command -v pgbackrest' >/dev/null || note "There is no pgbackrest here that $user can run: install it."
  command -v curl >/dev/null || command -v wget >/dev/null || command -v python3 >/dev/null ||
    note "There is no curl, wget or python3 here, so this machine cannot report: install one of them."
}
""".replace("CRON", CRON)


@dataclass(frozen=True)
class DrillMachine:
    """A machine that tries backups of one cluster, and where it reports."""

    cluster: str
    name: str
    drills: Drills
    stanzas: Sequence[StanzaConfiguration]  # that it restores
    address: str
    token: str
    console_ca: str = ""  # the certificates that the console's is checked against; "": the machine's own

    @property
    def _configuration(self) -> Configuration:
        return Configuration(
            self.cluster,
            f"drill machine {self.name}",
            BY_NUMBER[""],
            [],
            [],
            layout=self.drills.layout,
            drills=self.drills,
        )

    @property
    def targets(self) -> list[Target]:
        """Return the repositories that it reads, with their files in its own folder."""
        return [self.drills.placed(one) for _, targets in self.drills.folders for one in targets]

    def _placed(self) -> list[Placed]:
        layout = self.drills.layout
        public = {one.ca_file: one.repository.ca_certificate for one in self.targets if one.repository.ca_certificate}
        secret = {one.place(file): file.content for one in self.targets for file in one.repository.files}
        ca_file = layout.console_ca if self.console_ca else ""
        if ca_file:
            public[ca_file] = self.console_ca
        return [
            *(Placed(File(path, content.strip() + "\n"), PUBLIC) for path, content in public.items()),
            *(Placed(File(path, content.strip() + "\n"), PRIVATE) for path, content in secret.items()),
            *(Placed(one, PRIVATE) for one in self.drills.configurations()),
            Placed(drill_script(self.drills, self.address, self.token, ca_file), EXECUTABLE),
            Placed(File(layout.undo, undo_script(self._configuration)), ROOT_S),
        ]

    @property
    def _crontab(self) -> Placed:
        lines = [f"# Restore drills of {self.cluster}, by the clock of this machine", *drill_lines(self.drills), ""]
        return Placed(File(self.drills.layout.crontab, "\n".join(lines)), PUBLIC)

    def script(self) -> str:
        """Return the script, for root to run on the machine; it holds secrets."""
        configuration, layout, placed = self._configuration, self.drills.layout, self._placed()
        checks = [
            'if [ "$mode" = undo ]; then',
            *undo_lines(configuration),
            "fi",
            *version_check(replace(configuration, targets=self.targets, stanzas=self.stanzas)),
            "look_at_our_folder",
            f"look_at_user_s {layout.spool}",
            *(one.look for one in placed),
            "look_at_leftovers $ours/",
            self._crontab.look.replace("look ", "look_at_crontab ", 1),
            "look_for_programs",
            "decide",
        ]
        changes = [
            "make_our_folder",
            f"make_user_s {layout.spool}",
            *(line for one in placed for line in one.put),
            f"if is_folder {CRON}; then",
            *self._crontab.put,
            "fi",
            "remove_leftovers $ours/",
            'done_with_it "its files"',
        ]
        title = f"{self.cluster}, {configuration.node}: run as root on the machine. It holds secrets."
        commands = "; ".join(command(layout, plan.id) for plan in self.drills.plans)
        functions = FUNCTIONS.replace("COMMANDS", commands) + UNDO
        return guest_script(
            configuration, title, checks, changes, functions=functions, options=(("--undo", "mode=undo"),)
        )
