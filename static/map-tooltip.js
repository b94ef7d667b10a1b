// One tooltip for everything on the map: a thousand of them would cost more than the map.
import { make } from "./map-icons.js";

export class Tooltip {
  #tip = L.tooltip({ className: "map-tip", opacity: 1 });
  #shownAt = null; // the element whose tooltip is open
  #map;
  #icons;
  #clusters;

  constructor(map, icons, clusters) {
    this.#map = map;
    this.#icons = icons;
    this.#clusters = clusters;
  }

  show(element) {
    const { layer, text } = this.#icons.get(element);
    this.#shownAt = element;
    this.#place(layer);
    this.#tip.setLatLng(layer.getLatLng()).setContent(make("span", "", text()));
    this.#map.openTooltip(this.#tip);
    this.#tip.getElement().setAttribute("aria-hidden", "true"); // the element's own label says the same
  }

  hide() {
    this.#shownAt = null;
    this.#map.closeTooltip(this.#tip);
  }

  refresh() {
    if (this.#shownAt?.isConnected) this.show(this.#shownAt);
  }

  // Inside the map's frame, and away from the other pins of a fan.
  #place(layer) {
    const { x, y } = this.#map.latLngToContainerPoint(layer.getLatLng());
    const aside = this.#clusters.distanceFromFan(layer);
    const side = x < 140 || aside > 10 ? "right" : x > this.#map.getSize().x - 140 || aside < -10 ? "left" : "";
    const direction = side || (y < 120 ? "bottom" : "top");
    const height = layer.options.below ? 20 : -20; // a node's middle below its place, a pin's above
    const offsets = {
      top: [0, Math.min(0, height * 2)],
      bottom: [0, Math.max(8, height * 2)],
      right: [18, height],
      left: [-18, height],
    };
    Object.assign(this.#tip.options, { direction, offset: offsets[direction] });
  }
}
