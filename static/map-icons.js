// How pins, clusters and nodes look. A state shows in the pin's glyph and outline, not in its colour alone.
// Text comes in as textContent and attributes only.
import { inWords } from "./prepare.js";

const PIN = "M14 34.5C10.2 27.5 3 21.5 3 13.5a11 11 0 0 1 22 0C25 21.5 17.8 27.5 14 34.500Z";
const DIAMOND = "M9 1.5 16.5 9 9 16.5 1.5 9Z";
const RADIO = "M14 13.5h.01"; // the one that is chosen has a dot, as a radio button has

export const STATES = {
  attached: { chosen: true, says: inWords("attached"), legend: inWords("Attached"), glyph: "m9 13.8 3.5 3.5 6.5-7.3" },
  chosen: { chosen: true, says: inWords("newly chosen"), legend: inWords("Newly chosen"), glyph: "M14 8.5v10M9 13.5h10" },
  leaving: { chosen: false, says: inWords("will be taken out"), legend: inWords("Will be taken out"), glyph: "M9 13.5h10" },
  available: { chosen: false, says: inWords("available"), legend: inWords("Available"), glyph: "M14 13.5h.01" },
  unusable: { chosen: false, says: inWords("cannot be chosen"), legend: inWords("Cannot be chosen"), glyph: "m10 9.5 8 8m0-8-8 8" },
};

// What is judged of what is kept in a store, the worst first: on a map to look at, in place of the states.
export const VERDICTS = {
  "not-recoverable": { says: inWords("not recoverable"), legend: inWords("Not recoverable"), glyph: "m10 9.5 8 8m0-8-8 8" },
  "at-risk": { says: inWords("at risk"), legend: inWords("At risk"), glyph: "M14 8v7M14 18.800h.01" },
  behind: { says: inWords("falling behind"), legend: inWords("Falling behind"), glyph: "M14 8.500v5l3.500 2.500" },
  unknown: { says: inWords("unknown"), legend: inWords("Unknown"), glyph: "M11 11a3 3 0 1 1 3 3v1M14 18.800h.01" },
  "not-set-up": { says: inWords("not set up yet"), legend: inWords("Not set up yet"), glyph: "M9 13.5h10" },
  recoverable: { says: inWords("recoverable"), legend: inWords("Recoverable"), glyph: "m9 13.8 3.5 3.5 6.5-7.3" },
  empty: { says: inWords("nothing is judged in it"), legend: inWords("Nothing is judged"), glyph: "M14 13.5h.01" },
};

export const nounsOf = (api) => inWords(`${api.noun}s`);
const kindsOf = (api) => (api.judged ? VERDICTS : STATES);

export function stateOf(api, id) {
  const state = api.state(id);
  return state in kindsOf(api) ? state : "available";
}

export function make(tag, className, text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

export const pinShape = () => draw(28, 36, "map-shape", ["body", PIN], ["glyph", ""]);
export const diamond = () => draw(18, 18, "map-diamond", ["body", DIAMOND]);

function draw(width, height, className, ...paths) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const attributes = { class: className, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true", focusable: "false" };
  for (const [name, value] of Object.entries(attributes)) svg.setAttribute(name, value);
  for (const [part, d] of paths) {
    const path = svg.appendChild(document.createElementNS(svg.namespaceURI, "path"));
    path.setAttribute("class", part);
    path.setAttribute("d", d);
  }
  return svg;
}

// An icon whose element is made once and painted afterwards, so that it keeps the focus.
export function icon(className, fill) {
  const made = L.divIcon({ className, html: false, iconSize: null });
  made.createIcon = (old) => {
    const element = L.DivIcon.prototype.createIcon.call(made, old);
    fill(element);
    return element;
  };
  return made;
}

export function dress(element, state, single) {
  element.dataset.state = state;
  element.classList.toggle("single", Boolean(single));
  const { glyph } = STATES[state] ?? VERDICTS[state];
  element.querySelector(".glyph").setAttribute("d", single && state === "chosen" ? RADIO : glyph);
}

export function paintPin(element, id, api) {
  const state = stateOf(api, id);
  const { chosen, says } = STATES[state] ?? VERDICTS[state];
  dress(element, state, api.single);
  if (!api.fixed) element.setAttribute("aria-checked", String(chosen));
  element.setAttribute("aria-label", `${api.label(id)}, ${api.single && chosen ? inWords("chosen") : says}`);
  if (state === "unusable") element.setAttribute("aria-disabled", "true");
  else element.removeAttribute("aria-disabled");
}

export function paintCluster(element, cluster, api) {
  const all = cluster.getAllChildMarkers();
  if (api.judged) {
    paintJudged(element, all.map((marker) => stateOf(api, marker.options.pin)), api);
    return;
  }
  const chosen = all.filter((marker) => STATES[stateOf(api, marker.options.pin)].chosen).length;
  const text = chosen && !api.single ? `${chosen}/${all.length}` : String(all.length);
  element.firstChild.textContent = text;
  element.dataset.fill = chosen === 0 ? "none" : chosen === all.length ? "all" : "some";
  element.dataset.size = text.length > 5 ? "large" : text.length > 3 ? "medium" : "small";
  element.style.setProperty("--share", `${Math.round(chosen / all.length * 100)}%`);
  const given = { count: all.length, chosen, nouns: nounsOf(api) };
  const one = chosen ? inWords("{count} {nouns} here, one of them chosen", given) : inWords("{count} {nouns} here", given);
  const told = api.single ? one : inWords("{chosen} of {count} {nouns} chosen here", given);
  element.setAttribute("aria-label", inWords("{told}; press Enter to spread them", { told }));
}

// Several that are judged: their number, in the colour of the worst.
function paintJudged(element, states, api) {
  const told = Object.keys(VERDICTS).filter((one) => states.includes(one));
  const counts = told.map((one) => `${states.filter((state) => state === one).length} ${VERDICTS[one].says}`);
  element.firstChild.textContent = String(states.length);
  element.dataset.fill = "all";
  element.dataset.verdict = told[0];
  element.dataset.size = states.length > 999 ? "medium" : "small";
  element.style.setProperty("--share", "100%");
  const here = inWords("{count} {nouns} here", { count: states.length, nouns: nounsOf(api) });
  element.setAttribute("aria-label", inWords("{told}; press Enter to spread them", { told: `${here}: ${counts.join(", ")}` }));
}
