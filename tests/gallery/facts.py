"""What is true of a page's layout whatever the fonts are, as JavaScript that returns what is not as it should be."""

from __future__ import annotations

# As Lighthouse counts them: the last candidate for the largest paint, and the sum of all shifts of the layout.
WATCH = """
window.painted = 0; window.shifted = 0; window.shifters = [];
new PerformanceObserver((list) => { for (const one of list.getEntries()) window.painted = one.startTime; })
  .observe({ type: "largest-contentful-paint", buffered: true });
new PerformanceObserver((list) => { for (const one of list.getEntries()) {
  if (one.hadRecentInput) continue;
  window.shifted += one.value;
  window.shifters.push(...one.sources.map((source) => source.node?.outerHTML?.slice(0, 120) ?? "gone"));
} }).observe({ type: "layout-shift", buffered: true });
"""

# What sticks out of the page to the right, innermost.
SCROLLS = """() => document.documentElement.scrollWidth <= innerWidth ? [] :
  [...document.querySelectorAll("body *")].filter((one) => one.getBoundingClientRect().right > innerWidth + 1)
  .map((one) => one.outerHTML.slice(0, 160)).slice(-1)"""

# Text that is cut off, and no title, scroll bar or unfolding shows the rest of it.
CLIPPED = """() => [...document.querySelectorAll("main *, dialog[open] *, .top *, .rail *")].filter((one) => {
  if (!one.checkVisibility() || one.closest(".leaflet-container, .unseen, svg, [title], .choice-list")) return false;
  if (![...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim())) return false;
  const style = getComputedStyle(one);
  const cut = style.overflowX === "hidden" || style.overflowX === "clip";
  return cut && (one.scrollWidth > one.clientWidth + 1 || one.scrollHeight > one.clientHeight + 1);
}).map((one) => one.outerHTML.slice(0, 160))"""

# Words that reach over the edge of what they stand in: a button, a badge, a chip, a cell.
OVER = """() => [...document.querySelectorAll(".button, button, .badge, .chip, .tile, th, td, summary, label")]
.filter((one) => {
  if (!one.checkVisibility() || one.closest(".leaflet-container, .unseen, .switch")) return false;
  if (getComputedStyle(one).textOverflow === "ellipsis" && one.title) return false;
  const box = one.getBoundingClientRect();
  const words = document.createRange();
  words.selectNodeContents(one);
  return [...words.getClientRects()]
    .some((part) => part.width > 1 && (part.right > box.right + 2 || part.left < box.left - 2))
    && !one.querySelector(".unseen, .menu-panel, details, .scroll, pre, table, input");
}).map((one) => one.outerHTML.slice(0, 160))"""

# What one can press, and something else lies on.
COVERED = """() => {
  const found = [];
  const within = document.querySelector("dialog[open]") ?? document;
  for (const one of within.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary")) {
    if (!one.checkVisibility({ opacityProperty: true, visibilityProperty: true }) || one.disabled) continue;
    if (one.closest(".unseen, .skip, .leaflet-container, .menu-panel")) continue;
    one.scrollIntoView({ block: "center", inline: "center", behavior: "instant" });
    const box = one.getClientRects()[0];
    if (!box || box.width < 2 || box.height < 2) continue;
    const top = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
    const mine = top && (one.contains(top) || top.contains(one) || top.closest("label")?.control === one);
    if (!mine) found.push(`${one.outerHTML.slice(0, 100)} is below ${top?.outerHTML.slice(0, 80)}`);
  }
  return found;
}"""

FACTS = {"scrolls sideways": SCROLLS, "is cut off": CLIPPED, "reaches over its edge": OVER, "is covered": COVERED}
CONTRAST = """async (within) => (await axe.run(within, { runOnly: ["color-contrast", "target-size"] })).violations
  .flatMap((one) => one.nodes.map((node) => `${one.id}: ${node.html.slice(0, 140)}`))"""
