"""Which tests begin first, and which go to the same worker: for the hook in conftest.py."""

from __future__ import annotations

# What takes minutes by itself, most of them waiting, begins first: else all have to wait for it in the end. The longest
# comes first; the first of a group counts (the Makefile keeps xdist from an order of its own).
LONGEST_FIRST = (
    "tests/browser/",
    "tests/client/test_console.py",  # it asks the demo of the next ones what is in it from the start
    "tests/end_to_end/",
    "tests/fuzz/",
    "tests/demo/test_supervisor.py",
    "tests/crash/test_matrix.py",
    "tests/crash/test_outages.py",
    "tests/operations/test_worker.py",
    "tests/crash/",
    "tests/deploy/",
    "tests/serving/",
    "tests/clouds/test_streams.py",
    "tests/clouds/contract/",
)


def turn(item):
    """Return where in LONGEST_FIRST a test stands."""
    places = enumerate(LONGEST_FIRST)
    return next((turn for turn, place in places if item.nodeid.startswith(place)), len(LONGEST_FIRST))


def group(item):
    """Return a name for those that share what takes long to start: a demo, a server, this machine's /etc."""
    if item.get_closest_marker("browser") or item.path.parent.name == "end_to_end":
        return item.path.parent.name
    known = item._fixtureinfo.name2fixturedefs
    if "plain_demo" in known:
        return "end_to_end"
    shared = {name: found[-1].scope for name, found in known.items() if found[-1].scope in {"module", "package"}}
    params = item.callspec.params if hasattr(item, "callspec") else {}
    if shared:
        of = [str(params[name]) for name in shared if name in params]
        stem = [item.path.stem] if "package" not in shared.values() else []
        return "-".join([*item.path.parent.parts[-2:], *stem, *of])
    return "object_server" if "object_server" in known else ""
