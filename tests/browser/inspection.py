"""What axe says of a page."""

from __future__ import annotations

from axe_playwright_python.base import AXE_SCRIPT

from tests.sampling import THOROUGH

# Each width and each theme once: what is shown depends on the one, its colours on the other.
LOOKS = ((1280, "light"), (390, "dark"))
# Only what it found comes back: what passed would be some hundred kilobytes of JSON for each look.
RUN = """async (within) => {
  await Promise.all(document.getAnimations().map((one) => one.finished.catch(() => {})));
  const found = await axe.run(within || document, { resultTypes: ["violations"] });
  return found.violations.map((one) => `${one.id} ${one.nodes.map((node) => node.target)}`);
}"""
# What sticks out, innermost: "" where nothing scrolls sideways.
TOO_WIDE = """() => document.documentElement.scrollWidth <= innerWidth ? "" :
  [...document.querySelectorAll("body *")].filter((one) => one.getBoundingClientRect().right > innerWidth)
  .map((one) => one.outerHTML).pop()?.slice(0, 300) || "nothing that has a box" """
UNFOLD = """() => [...document.querySelectorAll("main details:not([open]) > summary")]
  .filter((one) => one.checkVisibility()).slice(0, 12).forEach((one) => one.click())"""


def unfold(page):
    """Open what a page keeps folded, in one go: a click of Playwright's takes as long as a look."""
    page.evaluate(UNFOLD)


class Inspector:
    """Looks at pages, and keeps what it finds.

    Each time it takes the next theme and the next width, and all of them for `make thorough`; whether a page scrolls
    sideways is asked at each width.
    """

    def __init__(self):
        self.found, self.checked = [], []

    def check(self, page, what, within=None):
        """Look at a page, or at what is in it within a selector."""
        looks = LOOKS if THOROUGH else [LOOKS[len(self.checked) % len(LOOKS)]]
        self.checked.append(what)
        if not page.evaluate("'axe' in window"):  # once for each page: it is half a megabyte
            page.evaluate(AXE_SCRIPT)
        for width, scheme in LOOKS:
            page.set_viewport_size({"width": width, "height": 800})
            if wide := page.evaluate(TOO_WIDE):
                self.found.append(f"{what}, {width}: scrolls sideways: {wide}")
            if (width, scheme) in looks:
                page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
                self.found.extend(f"{what}, {scheme}, {width}: {one}" for one in page.evaluate(RUN, within))
