// The search dialog's keys: arrows go through what was found, Enter in the field opens the first of it.
function entries(finder) {
  return [...finder.querySelectorAll("#found a")];
}

function move(event) {
  const finder = event.target.closest?.("[data-finder]");
  if (!finder) return;
  const links = entries(finder);
  const at = links.indexOf(document.activeElement);
  if (event.key === "Enter" && at < 0) {
    event.preventDefault();
    links[0]?.click();
    return;
  }
  const to = { ArrowDown: at + 1, ArrowUp: at - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  (links[to] ?? (to < 0 ? finder.querySelector("input") : links.at(-1)))?.focus();
}

document.addEventListener("keydown", move);
