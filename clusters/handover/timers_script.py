"""The script that installs systemd's timers in place of the crontab, for root to run on the node. Pure."""

from __future__ import annotations

from clusters.handover import schedule_files
from clusters.handover.guest import Placed, guest_script
from clusters.handover.units import WANTS
from clusters.pgbackrest.configuration import Configuration
from clusters.pgbackrest.layout import CRON, UNITS
from clusters.pgbackrest.root_script import PUBLIC

# Whether systemd has been told is written down before it has to be: a run may be broken off.
FUNCTIONS = r"""
look_at_timers() { # TIMER …
  for timer; do is_there "WANTS/$timer" || will "enable $timer"; done
  ! is_there "$ours/to-reload" || will "have systemd read its units again"
}
"""


def timers_script(configuration: Configuration) -> str:
    """Return the script; it needs what the set-up script has put there."""
    layout = configuration.layout
    files = [Placed(one, PUBLIC) for one in schedule_files.units(configuration)]
    timers = " ".join(one.file.path.removeprefix(f"{UNITS}/") for one in files if one.file.path.endswith(".timer"))
    schedule, ours = layout.crontab, layout.unit("")
    checks = [
        'command -v systemctl >/dev/null || refuse "There is no systemctl: keep to cron, or what runs commands here."',
        f'is_file "$installed" || refuse "Run {layout.script(configuration.node)} first."',
        "look_at_our_folder",
        f"only_root_changes {UNITS}",
        f"! is_there {WANTS} || only_root_changes {WANTS}",
        f"! is_there {CRON} || only_root_changes {CRON}",
        *(one.look for one in files),
        f"look_at_leftovers {ours}",
        f"look_at_leftovers {schedule}",
        f"look_at_timers {timers}",
        "decide",
    ]
    changes = [
        "make_our_folder",
        ': > "$ours/to-reload"',
        # Those of an earlier schedule go first.
        f"for path in $(leftovers {ours}); do",
        '  case $path in *.timer) systemctl disable --now "${path##*/}" ;; esac',
        "done",
        f"remove_leftovers {ours}",
        *(line for one in files for line in one.put),
        f"remove_leftovers {schedule}",
        "systemctl daemon-reload",
        f"systemctl enable {timers}",
        f"systemctl restart {timers}",
        'rm -f "$ours/to-reload"',
        'done_with_it "its timers"',
    ]
    title = f"{configuration.cluster}, node {configuration.node}: run as root on the node."
    return guest_script(configuration, title, checks, changes, functions=FUNCTIONS.replace("WANTS", WANTS))
