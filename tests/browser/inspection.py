"""What axe says of a page."""

from __future__ import annotations

from axe_playwright_python.base import AXE_SCRIPT

COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast"]}}  # all that a theme can change
LOOKS = ((1280, "light", None), (1280, "dark", COLOURS), (390, "dark", None), (390, "light", COLOURS))


class Inspector:
    """Looks at a page in both themes and at both widths, and keeps what it finds."""

    def __init__(self):
        self.found, self.checked = [], []

    def _run(self, page, rules):
        if not page.evaluate("'axe' in window"):  # once for each page: it is half a megabyte
            page.evaluate(AXE_SCRIPT)
        return page.evaluate("options => axe.run(options)", {"resultTypes": ["violations"], **(rules or {})})

    def check(self, page, what, looks=LOOKS):
        self.checked.append(what)
        for width, scheme, rules in looks:
            page.set_viewport_size({"width": width, "height": 800})
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            page.evaluate("Promise.all(document.getAnimations().map((one) => one.finished.catch(() => {})))")
            self.found.extend(
                f"{what}, {scheme}, {width}: {violation['id']} {[node['target'] for node in violation['nodes']]}"
                for violation in self._run(page, rules)["violations"]
            )
            if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                self.found.append(f"{what}, {width}: scrolls sideways")
