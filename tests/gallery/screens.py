"""The twelve main screens, of which README and the manual show pictures: where they are, and what must be on them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from tests.demo_process import ROOT

WIDE, NARROW = (1280, 900), (390, 844)
MOMENT = datetime(2026, 11, 29, 9, tzinfo=UTC)  # at which the console and the browser stand
# What differs from run to run: whether the caret is there.
STEADY = """() => {
  document.querySelectorAll("input, textarea").forEach((one) => { one.style.caretColor = "transparent"; });
}"""


@dataclass(frozen=True)
class Screen:
    """A page, or a dialog that is opened above it: its address, what opens it, and what must be there."""

    name: str
    path: str  # with the scene's addresses by their names in braces
    there: tuple[str, ...]  # Playwright's selectors
    opens: str = ""  # what to click for the dialog
    who: str = "olivia"  # or newcomer, or "" for nobody
    after: tuple[str, ...] = ()  # what to click next


SCREENS = (
    Screen("sign-in", "/login/", ("[name=username]", "[name=password]", "button.primary"), who=""),
    Screen("first-steps", "/", ("text=From here to a first backup", ".path li >> nth=6"), who="newcomer"),
    Screen("overview", "/", ("h1:has-text('databases are recoverable')", ".tally-bar", ".healths tbody tr")),
    Screen("backup-stores", "/stores/", (".pane >> nth=5", ".filters", "text=signs as", ".mark svg")),
    Screen(
        "create-store",
        "/stores/",
        ("dialog .tile >> nth=3", "dialog [name=name]"),
        ".heading >> text=Create",
        after=("dialog .tile:has([value=aws])",),
    ),
    Screen("store", "{store}", (".lead", "text=Newest backup", ".chip")),
    Screen("clusters", "/clusters/", (".pane >> nth=3", ".filters")),
    Screen("cluster", "{cluster}", (".chips .chip >> nth=1", "text=3 Nodes", "svg")),
    Screen(
        "update-backup-stores",
        "{cluster}",
        ("dialog .choice-list li >> nth=2", "dialog .leaflet-container", "dialog .map-pin >> nth=0"),
        "a:has-text('Update Backup Stores') >> visible=true >> nth=0",
        after=("dialog .switch:has-text('Show map')",),
    ),
    Screen("node", "{cluster}nodes/n1/", ("h1", "text=set-up script", "pre")),
    Screen("cloud-account", "{account}", ("h1", ".mark svg", "text=IAM")),
    Screen("audit", "/audit/", (".events tbody >> nth=7", "text=Outcome", "text=Address")),
)
BY_NAME = {one.name: one for one in SCREENS}

# Of README and of the manual; each is drawn wide, in the light theme.
PICTURES = tuple(one.name for one in SCREENS if one.name not in {"sign-in", "clusters", "cloud-account"})
FOLDER = ROOT / "static" / "pictures"
AT_MOST = 60_000  # bytes of a picture
