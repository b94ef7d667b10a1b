// What keyboard, mouse and wheel do on the map.
import { stateOf } from "./map-icons.js";

export class MapInput {
  #api;
  #box;
  #map;
  #icons;
  #clusters;
  #tooltip;

  constructor({ api, box, map, icons, clusters, tooltip }) {
    this.#api = api;
    this.#box = box;
    this.#map = map;
    this.#icons = icons;
    this.#clusters = clusters;
    this.#tooltip = tooltip;
  }

  listen(group) {
    this.#box.addEventListener("keydown", (event) => this.#onKeydown(event));
    this.#box.addEventListener("mouseover", (event) => this.#onMouseover(event));
    this.#box.addEventListener("focusin", (event) => this.#onFocusin(event));
    this.#box.addEventListener("mouseout", (event) => { if (iconAt(event)) this.#tooltip.hide(); });
    this.#box.addEventListener("focusout", (event) => this.#onFocusout(event));
    this.#box.addEventListener("wheel", (event) => this.#onWheel(event), { capture: true, passive: true });
    group.on("click", (event) => this.#choose(event.layer));
    group.on("clusterclick", (event) => this.#spreadOrFold(event.layer));
  }

  #onKeydown(event) {
    if (event.key === "Escape" && this.#clusters.anyFannedOut) {
      event.preventDefault(); // and the dialog around the map stays open
      event.stopPropagation();
      this.#clusters.fold();
    } else if (event.key === "Enter" || event.key === " ") this.#press(event);
  }

  #press(event) {
    const icon = this.#icons.get(event.target);
    if (icon) {
      event.preventDefault(); // the space bar would scroll, Enter would send the form
      if (!event.repeat) this.#act(icon.layer);
    } else if (event.key === " " && event.target.matches("a[role=button]")) {
      event.preventDefault(); // Leaflet's zoom buttons are links, which know only Enter
      event.target.click();
    }
  }

  #act(layer) {
    if (layer instanceof L.MarkerCluster) this.#spreadOrFold(layer);
    else if (layer.options.pin !== undefined) this.#choose(layer);
  }

  #choose(marker) {
    const { pin } = marker.options;
    if (!this.#api.fixed && stateOf(this.#api, pin) !== "unusable") this.#api.toggle(pin);
  }

  #spreadOrFold(cluster) {
    if (this.#clusters.isFannedOut(cluster)) {
      this.#clusters.fold();
      return;
    }
    this.#tooltip.hide();
    this.#clusters.spread(cluster);
  }

  #onMouseover(event) {
    const element = iconAt(event);
    if (this.#icons.has(element)) this.#tooltip.show(element);
  }

  #onFocusin(event) {
    const element = iconAt(event);
    if (!this.#icons.has(element)) return;
    const { layer } = this.#icons.get(element);
    this.#clusters.held = layer;
    if (!element.matches(":focus-visible")) return;
    this.#map.panInside(layer.getLatLng(), { padding: [40, 56] });
    this.#tooltip.show(element);
  }

  #onFocusout(event) {
    this.#tooltip.hide();
    if (event.relatedTarget) this.#clusters.held = null;
  }

  // A wheel that turns over the map scrolls the page, unless the reader is at work here or holds Ctrl.
  #onWheel(event) {
    const wanted = event.ctrlKey || event.metaKey || this.#box.contains(document.activeElement);
    this.#map.scrollWheelZoom[wanted ? "enable" : "disable"]();
  }
}

const iconAt = (event) => event.target.closest?.(".leaflet-marker-icon");
