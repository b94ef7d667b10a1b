// The legend: only what is on the map at the moment.
import { STATES, VERDICTS, diamond, dress, make, nounsOf, pinShape, stateOf } from "./map-icons.js";
import { inWords } from "./prepare.js";

const STROKES = [[true, inWords("Nearest to the node")], [false, inWords("Further away")]];

export class Legend {
  element = make("ul", "map-legend");
  #clustered = false; // whether a cluster was ever seen
  #api;

  constructor(api) {
    this.#api = api;
  }

  // `worst` is the worst verdict on a node, on a map that is judged.
  update(map, { pins, nodes, lines, worst }) {
    map.eachLayer((layer) => { this.#clustered ||= layer instanceof L.MarkerCluster; });
    const entries = this.#pinEntries(pins);
    if (this.#clustered) entries.push(this.#clusterEntry());
    if (nodes.size) entries.push([this.#diamond(worst), this.#api.judged ? inWords("Nodes, as the worst of them") : inWords("Node")]);
    for (const [near, words] of STROKES) {
      if (lines.getLayers().some((line) => line.options.near === near)) entries.push([stroke(near), words]);
    }
    this.#replace(entries.map(row));
  }

  #pinEntries(pins) {
    const { single } = this.#api;
    const present = new Set([...pins.keys()].map((id) => stateOf(this.#api, id)));
    const kinds = this.#api.judged ? VERDICTS : STATES;
    return Object.keys(kinds).filter((state) => present.has(state)).map((state) => {
      const symbol = make("span", "map-pin");
      symbol.append(pinShape());
      dress(symbol, state, single);
      return [symbol, single && state === "chosen" ? inWords("Chosen") : kinds[state].legend];
    });
  }

  #diamond(worst) {
    const symbol = make("span", "map-node");
    if (worst) symbol.dataset.verdict = worst;
    symbol.append(diamond());
    return symbol;
  }

  #clusterEntry() {
    const symbol = make("span", "map-cluster");
    const { judged, single } = this.#api;
    const nouns = nounsOf(this.#api);
    symbol.append(make("span", "map-count", judged || single ? "3" : "2/3"));
    symbol.dataset.fill = single ? "none" : "some";
    symbol.style.setProperty("--share", single ? "0%" : "66%");
    if (judged) return [symbol, inWords("Several {nouns}, as the worst of them", { nouns })];
    return [symbol, single ? inWords("Several {nouns}", { nouns }) : inWords("Several {nouns}, 2 of 3 chosen", { nouns })];
  }

  // The same entries stay as they are: a legend that is rewritten with every click makes the page jump.
  #replace(rows) {
    const html = (elements) => [...elements].map((element) => element.outerHTML).join();
    if (html(rows) !== html(this.element.children)) this.element.replaceChildren(...rows);
  }
}

const stroke = (near) => make("span", near ? "map-stroke near" : "map-stroke");

function row([symbol, words]) {
  const item = make("li", "");
  symbol.setAttribute("aria-hidden", "true");
  item.append(symbol, make("span", "", words));
  return item;
}
