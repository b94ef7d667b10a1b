"""What axe says of a page."""

from __future__ import annotations

from collections import defaultdict

from axe_playwright_python.base import AXE_SCRIPT

from tests.sampling import THOROUGH

# Each width and each theme once: what is shown depends on the one, its colours on the other.
LOOKS = ((1280, "light"), (390, "dark"))
# Contrast takes three quarters of axe's time, and depends on an element's place in the style sheet: its own and its
# ancestors' names, classes and other attributes that selectors ask for. Found are the elements of places that are not
# known, and the numbers of those places.
FRESH = """(within, known) => {
  const asked = ["class", "type", "aria-current", "aria-invalid", "role", "style", "open", "disabled", "data-state",
    "data-verdict", "data-done", "data-fill", "data-way"];
  const number = (text) => { let sum = 2166136261;
    for (let at = 0; at < text.length; at++) sum = Math.imul(sum ^ text.charCodeAt(at), 16777619); return sum >>> 0; };
  const places = new Map();
  const place = (one) => {
    if (!one) return "";
    if (!places.has(one)) places.set(one,
      [place(one.parentElement), one.localName, ...asked.map((name) => one.getAttribute(name) ?? "")].join(" "));
    return places.get(one);
  };
  const seen = new Set(known), elements = [], numbers = [];
  for (const one of within.querySelectorAll("*")) {
    const speaks = one.matches("input, select, textarea")
      || [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!speaks || !one.checkVisibility()) continue;
    const mine = number(place(one));
    if (!seen.has(mine)) { seen.add(mine); elements.push(one); numbers.push(mine); }
  }
  return [elements, numbers];
}"""
# Only what it found comes back: what passed would be some hundred kilobytes of JSON for each look.
RUN = f"""async ([within, known]) => {{
  await Promise.all(document.getAnimations().map((one) => one.finished.catch(() => {{}})));
  const only = {{ resultTypes: ["violations"] }};
  const told = (found) => found.violations.map((one) => `${{one.id}} ${{one.nodes.map((node) => node.target)}}`);
  if (!known) return [told(await axe.run(within || document, only)), []];
  const [elements, numbers] = ({FRESH})(within ? document.querySelector(within) : document, known);
  const rules = {{ "color-contrast": {{ enabled: false }} }};
  const found = told(await axe.run(within || document, {{ ...only, rules }}));
  if (elements.length)
    found.push(...told(await axe.run({{ include: elements }}, {{ ...only, runOnly: ["color-contrast"] }})));
  return [found, numbers];
}}"""
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
    sideways is asked at each width. Of contrast it asks once for each place in the style sheet and each theme, unless
    it is `whole`.
    """

    KNOWN: defaultdict[str, set[int]] = defaultdict(set)  # places whose contrast was looked at, by theme

    def __init__(self, whole=THOROUGH):
        self.found, self.checked, self.whole = [], [], whole

    def check(self, page, what, within=None):
        """Look at a page, or at what is in it within a selector."""
        looks = LOOKS if self.whole else [LOOKS[len(self.checked) % len(LOOKS)]]
        self.checked.append(what)
        if not page.evaluate("'axe' in window"):  # once for each page: it is half a megabyte
            page.evaluate(AXE_SCRIPT)
        for width, scheme in LOOKS:
            page.set_viewport_size({"width": width, "height": 800})
            if wide := page.evaluate(TOO_WIDE):
                self.found.append(f"{what}, {width}: scrolls sideways: {wide}")
            if (width, scheme) in looks:
                page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
                self.found.extend(f"{what}, {scheme}, {width}: {one}" for one in self._axe(page, scheme, within))

    def _axe(self, page, scheme, within):
        known = self.KNOWN[scheme]
        found, places = page.evaluate(RUN, [within, None if self.whole else sorted(known)])
        known.update(places)
        return found
