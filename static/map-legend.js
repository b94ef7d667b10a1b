// The legend: only what is on the map at the moment.
import { STATES, VERDICTS, diamond, dress, make, pinShape, stateOf } from "./map-icons.js";

const STROKES = [[true, "Nearest to the node"], [false, "Further away"]];

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
    if (nodes.size) entries.push([this.#diamond(worst), this.#api.judged ? "Nodes, as the worst of them" : "Node"]);
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
      return [symbol, single && state === "chosen" ? "Chosen" : kinds[state].legend];
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
    const { judged, single, noun } = this.#api;
    symbol.append(make("span", "map-count", judged || single ? "3" : "2/3"));
    symbol.dataset.fill = single ? "none" : "some";
    symbol.style.setProperty("--share", single ? "0%" : "66%");
    return [symbol, `Several ${noun}s${judged ? ", as the worst of them" : single ? "" : ", 2 of 3 chosen"}`];
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
