"""Opens a screen as its reader sees it, photographs it, and tells two photographs apart by the light of their parts."""

from __future__ import annotations

import base64
from collections.abc import Collection
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page, expect

from tests.gallery import blocks
from tests.gallery.facts import CONTRAST, FACTS, WATCH
from tests.gallery.screens import MOMENT, STEADY, WIDE, Screen

Size = tuple[int, int]
CELL = {1280: 32, 390: 30}  # pixels: the side of a part, by the width of the page
# Two photographs of one screen. Every letter is a block of one size (blocks.py), so fonts count for nothing; what is
# left is how a release of Chromium draws edges and shadows, and a word or two of time, which move a part by a level.
LEVELS = 16  # of light, from black to white
FAR = 3  # levels: so different are parts of which one shows something else
TOLERANCE = 0.012  # of all parts: so many may be that far off

STILL = "Promise.all(document.getAnimations().map((one) => one.finished.catch(() => {}))).then(() => true)"
READ = """async ([png, cell, levels]) => {
  const bytes = Uint8Array.from(atob(png), (one) => one.charCodeAt(0));
  const image = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
  const canvas = new OffscreenCanvas(image.width, image.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const rows = [];
  for (let top = 0; top + cell <= image.height; top += cell) {
    let row = "";
    for (let left = 0; left + cell <= image.width; left += cell) {
      const { data } = context.getImageData(left, top, cell, cell);
      let sum = 0;
      for (let at = 0; at < data.length; at += 4) {
        sum += 0.2126 * data[at] + 0.7152 * data[at + 1] + 0.0722 * data[at + 2];
      }
      row += Math.min(levels - 1, Math.floor(sum / (data.length / 4) / 256 * levels)).toString(levels);
    }
    rows.push(row);
  }
  return rows;
}"""


def difference(one: list[str], other: list[str]) -> float:
    """Return which share of the parts shows something else; 1.0 where the photographs are not of one size."""
    if [len(row) for row in one] != [len(row) for row in other]:
        return 1.0
    pairs = [*zip("".join(one), "".join(other), strict=True)]
    return sum(abs(int(a, LEVELS) - int(b, LEVELS)) >= FAR for a, b in pairs) / len(pairs)


def wrong(page: Page, only: Collection[str] = ()) -> list[str]:
    """Return what is not as it should be on the page, in words; `only` says what to look for, if not for all."""
    found = [
        f"{what}: {one}" for what, script in FACTS.items() if not only or what in only for one in page.evaluate(script)
    ]
    if not only or not {*only} <= {*FACTS}:
        page.evaluate(AXE_SCRIPT)
        found += page.evaluate(CONTRAST, "dialog[open]" if page.locator("dialog[open]").count() else "body")
    return found


@dataclass(frozen=True)
class Seen:
    """What a screen is like as its reader sees it."""

    moved: tuple[float, list[str]]  # its layout's shift while it loaded, and what moved
    picture: bytes  # as WebP
    wrong: list[str]


@dataclass
class Camera:
    """A browser at a console that has the scene; `url` is the console's."""

    browser: Browser
    url: str
    facts: dict[str, Any]  # what server.py wrote
    looks: dict[Any, Seen] = field(default_factory=dict)  # to open a screen takes as long as all that is asked of it

    @contextmanager
    def looking_at(self, screen: Screen, *, size: Size = WIDE, scheme: str = "light", style: str = "") -> Any:
        """Give the page with the screen open, all that must be on it there, and nothing moving."""
        context = self.browser.new_context(
            base_url=self.url, viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, bypass_csp=True,
            reduced_motion="reduce", locale="en-GB", timezone_id="UTC",
        )  # fmt: skip
        try:
            if screen.who:
                context.add_cookies([self._session(screen.who)])
            context.add_init_script(WATCH)
            page = context.new_page()
            page.clock.set_fixed_time(MOMENT)
            self._open(page, screen, style)
            yield page
        finally:
            context.close()

    def _session(self, who: str) -> Any:
        return {"name": self.facts["cookie"], "value": self.facts["sessions"][who], "url": self.url}

    def _open(self, page: Page, screen: Screen, style: str) -> None:
        page.goto(screen.path.format(**self.facts), wait_until="load")
        if style:
            page.add_style_tag(content=style)
            page.evaluate("document.fonts.load('16px Blocks').then(() => document.fonts.ready).then(() => true)")
        if screen.opens:
            page.locator(screen.opens).first.click()
        for one in screen.after:
            page.locator(one).first.click()
        for one in screen.there:
            expect(page.locator(one).first, f"{screen.name}: {one}").to_be_attached()
        page.wait_for_load_state("networkidle")
        page.evaluate("window.moved = [window.shifted, [...new Set(window.shifters)]]")  # before the next line does
        page.evaluate(STEADY)
        page.evaluate(STILL)

    def light(self, screen: Screen, *, size: Size, scheme: str, style: str = "") -> list[str]:
        """Return the screen's light: a row of hexadecimal digits, black to white, for each row of parts."""
        with self.looking_at(screen, size=size, scheme=scheme, style=blocks.style() + style) as page:
            png = base64.b64encode(page.screenshot()).decode()
            rows: list[str] = page.evaluate(READ, [png, CELL[size[0]], LEVELS])
        return rows

    def seen(self, screen: Screen, *, size: Size = WIDE, scheme: str = "light") -> Seen:
        """Return what the screen is like; for all who ask, it is opened once in each size and theme."""
        look = screen.name, size, scheme
        if look not in self.looks:
            with self.looking_at(screen, size=size, scheme=scheme) as page:
                session = page.context.new_cdp_session(page)
                shot = session.send("Page.captureScreenshot", {"format": "webp", "quality": 50})
                moved = tuple(page.evaluate("window.moved"))
                self.looks[look] = Seen(moved, base64.b64decode(shot["data"]), wrong(page))  # that scrolls
        return self.looks[look]
