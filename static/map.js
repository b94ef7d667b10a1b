// The map's browser half. Folium's script (console/worldmap.py) asks for its parts: outline, pins, clusters, nodes; the
// page's script gives the labels and states and keeps the choice (`api`).
import { Clusters } from "./map-clusters.js";
import { STATES, VERDICTS, diamond, icon, make, nounsOf, paintCluster, paintPin, pinShape, stateOf } from "./map-icons.js";
import { MapInput } from "./map-input.js";
import { declutter } from "./map-labels.js";
import { Legend } from "./map-legend.js";
import { lineBetween, outlineLayer } from "./map-lines.js";
import { Tooltip } from "./map-tooltip.js";
import { inWords } from "./prepare.js";

// MapInput does what Leaflet would do here: a map that moves under a mouse button loses the click.
const WITHOUT_LEAFLETS_FOCUS = { keyboard: false, autoPanOnFocus: false };

export class WorldMap {
  moves = !matchMedia("(prefers-reduced-motion: reduce)").matches;
  drags = !matchMedia("(pointer: coarse)").matches; // one finger scrolls the page, two move the map
  #host;
  #api;
  #box;
  #map;
  #lines;
  #tooltip;
  #legend;
  #icons = new WeakMap(); // element -> {layer, text()}: for the tooltip and the keyboard
  #pins = new Map(); // by ID: their places
  #nodes = new Map(); // by name
  #verdicts = new Set(); // of the nodes' places
  #chosen = new Set(); // the pins that were when the page was last painted

  constructor(host, api) {
    this.#host = host;
    this.#api = api;
    this.#legend = new Legend(api);
  }

  container(id) {
    const box = make("div", "map");
    box.id = id;
    box.setAttribute("role", "group");
    box.setAttribute("aria-label", inWords("Map of {nouns}; the arrow keys move it, plus and minus zoom", { nouns: nounsOf(this.#api) }));
    // Leaflet focuses its box as the button goes down; a dialog that scrolled then would take the click away.
    box.focus = () => HTMLElement.prototype.focus.call(box, { preventScroll: true });
    this.#host.replaceChildren(box, this.#legend.element);
    this.#box = box;
    return box;
  }

  outline(url) {
    return outlineLayer(url);
  }

  // Folium's script hands this one and the next around as functions: they keep their `this`.
  pin = ([lat, lon, id]) => {
    this.#pins.set(id, [lat, lon]);
    const fill = (element) => this.#fillPin(element, marker, id);
    const marker = L.marker([lat, lon], { ...WITHOUT_LEAFLETS_FOCUS, pin: id, icon: icon("map-pin", fill) });
    return marker;
  };

  cluster = (cluster) => {
    cluster.options.autoPanOnFocus = false;
    return icon("map-cluster", (element) => {
      element.append(make("span", "map-count"));
      this.#icons.set(element, { layer: cluster, text: () => element.getAttribute("aria-label").split(";")[0] });
      paintCluster(element, cluster, this.#api);
    });
  };

  nodes(spot, names, place) {
    for (const name of names) this.#nodes.set(name, spot);
    const judged = this.#api.place?.(spot);
    if (judged) this.#verdicts.add(judged.verdict);
    const words = judged?.label ?? inWords("{nodes} in {place}", { nodes: names.join(", "), place });
    const fill = (element) => this.#fillNodes(element, marker, names, words, judged);
    // Small, and without clicks of its own: over pins, under what is fanned out.
    const options = { ...WITHOUT_LEAFLETS_FOCUS, below: true, zIndexOffset: 500 };
    const marker = L.marker(spot, { ...options, icon: icon("map-node", fill) });
    return marker;
  }

  // Everything is on the map: returns what the page steers it by.
  ready(map, group) {
    this.#map = map;
    this.#setUpPanes();
    this.#lines = L.featureGroup().addTo(map);
    this.#putZoomAside();
    this.#listen(group);
    this.#settle();
    const watch = new ResizeObserver(() => {
      if (!this.#box.clientWidth) return;
      map.invalidateSize({ animate: false });
      declutter(this.#box);
    });
    watch.observe(this.#box);
    return {
      refresh: () => this.#refresh(),
      view: () => [map.getCenter(), map.getZoom()],
      show: (view) => {
        map.setView(...view, { animate: false });
        this.#settle();
      },
      lines: (pairs) => this.#drawLines(pairs),
      destroy: () => {
        watch.disconnect();
        map.remove();
        this.#host.replaceChildren();
      },
    };
  }

  #fillPin(element, marker, id) {
    element.append(pinShape());
    element.tabIndex = 0;
    element.setAttribute("role", this.#api.fixed ? "img" : this.#api.single ? "radio" : "checkbox");
    this.#icons.set(element, { layer: marker, text: () => element.getAttribute("aria-label") });
    paintPin(element, id, this.#api);
  }

  #fillNodes(element, marker, names, words, judged) {
    if (judged) element.dataset.verdict = judged.verdict;
    const name = judged?.name ?? names.join(", ");
    // A map of regions says that there are nodes, and not how many.
    Object.assign(element.dataset, { name, nodes: judged?.nodes ?? (name === "nodes" ? 0 : names.length) });
    const diamonds = make("span", "diamonds");
    diamonds.append(...names.map(diamond));
    element.append(diamonds, make("span", "name", element.dataset.name));
    element.setAttribute("role", "img");
    element.setAttribute("aria-label", words);
    this.#icons.set(element, { layer: marker, text: () => words });
  }

  // On a narrow screen the zoom buttons would cover what is at the edge: they stand below the map.
  #putZoomAside() {
    const zoom = this.#map.zoomControl?.getContainer();
    if (!zoom || !matchMedia("(max-width: 760px)").matches) return;
    const place = make("div", "map-zoom");
    place.append(zoom);
    this.#box.after(place);
  }

  #setUpPanes() {
    const map = this.#map;
    const nouns = nounsOf(this.#api);
    map.attributionControl?.setPrefix(false);
    map.createPane("lines").style.zIndex = 350;
    for (const pane of ["lines", "outline", "overlayPane"]) map.getPane(pane)?.setAttribute("aria-hidden", "true");
    const markers = map.getPane("markerPane");
    markers.setAttribute("role", "group");
    markers.setAttribute("aria-label", inWords("{nouns} on the map", { nouns: nouns[0].toUpperCase() + nouns.slice(1) }));
  }

  #listen(group) {
    const clusters = new Clusters(this.#map, group);
    this.#tooltip = new Tooltip(this.#map, this.#icons, clusters);
    const shared = { api: this.#api, box: this.#box, map: this.#map, icons: this.#icons };
    new MapInput({ ...shared, clusters, tooltip: this.#tooltip }).listen(group);
    this.#map.on("zoomend", () => this.#updateLegend());
    group.on("animationend", () => declutter(this.#box));
  }

  #updateLegend() {
    const worst = Object.keys(VERDICTS).find((one) => this.#verdicts.has(one));
    this.#legend.update(this.#map, { pins: this.#pins, nodes: this.#nodes, lines: this.#lines, worst });
    declutter(this.#box);
  }

  #refresh() {
    this.#map.eachLayer((layer) => this.#paint(layer));
    this.#tooltip.refresh();
    this.#settle();
  }

  // What has just been chosen is in view, wherever it was chosen.
  #settle() {
    const chosen = [...this.#pins].filter(([id]) => STATES[stateOf(this.#api, id)]?.chosen);
    for (const [id, spot] of chosen) {
      if (!this.#chosen.has(id)) this.#map.panInside(spot, { padding: [40, 56], animate: false });
    }
    this.#chosen = new Set(chosen.map(([id]) => id));
    this.#updateLegend();
  }

  #paint(layer) {
    const element = layer.getElement?.();
    if (!this.#icons.has(element)) return;
    if (layer instanceof L.MarkerCluster) paintCluster(element, layer, this.#api);
    else if (layer.options.pin !== undefined) paintPin(element, layer.options.pin, this.#api);
  }

  #drawLines(pairs) {
    this.#lines.clearLayers();
    for (const { node, id, near } of pairs) {
      lineBetween(this.#nodes.get(node), this.#pins.get(id), near)?.addTo(this.#lines);
    }
    this.#updateLegend();
  }
}
