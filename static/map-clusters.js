// Clusters: they come apart by zooming, or fan out. The focus follows what replaces the element that had it.
export class Clusters {
  held = null; // the layer that has the focus, to give it back when a zoom replaces its element
  #fanned = null; // the cluster whose pins are fanned out
  #map;
  #group;

  constructor(map, group) {
    this.#map = map;
    this.#group = group;
    group.on("spiderfied", (event) => {
      this.#fanned = event.cluster;
      focus(event.markers[0]);
    });
    group.on("unspiderfied", () => {
      this.#fanned = null;
      this.#giveFocusBack();
    });
    group.on("animationend", () => this.#giveFocusBack());
  }

  get anyFannedOut() {
    return this.#fanned !== null;
  }

  isFannedOut(cluster) {
    return cluster === this.#fanned;
  }

  fold() {
    const cluster = this.#fanned;
    this.#group.unspiderfy();
    focus(cluster);
  }

  spread(cluster) {
    const bounds = cluster.getBounds();
    const together = bounds.getSouthWest().equals(bounds.getNorthEast());
    // Pins of one place never come apart by zooming: they fan out, and "spiderfied" moves the focus.
    if (together || this.#map.getZoom() >= this.#map.getMaxZoom()) this.#fanOut(cluster);
    else this.#zoomTo(cluster);
  }

  // How far to the right of its fan's middle a pin is; 0 if it is in none.
  distanceFromFan(layer) {
    if (!this.#fanned?.getAllChildMarkers().includes(layer)) return 0;
    const x = (one) => this.#map.latLngToContainerPoint(one.getLatLng()).x;
    return x(layer) - x(this.#fanned);
  }

  #fanOut(cluster) {
    const { x, y } = this.#map.getSize();
    const padding = cluster.getChildCount() > 8 ? [x / 2, y / 2] : [90, 100]; // a large fan needs the whole map
    this.#map.panInside(cluster.getLatLng(), { padding, animate: false });
    cluster.spiderfy();
  }

  #zoomTo(cluster) {
    const [first] = cluster.getAllChildMarkers();
    this.#group.once("animationend", () => focus(this.#group.getVisibleParent(first)));
    cluster.zoomToBounds({ padding: [48, 56] });
  }

  #giveFocusBack() {
    if (!this.held || document.activeElement !== document.body) return;
    const marker = this.held instanceof L.MarkerCluster ? this.held.getAllChildMarkers()[0] : this.held;
    focus(this.#group.getVisibleParent(marker));
  }
}

function focus(layer) {
  layer?.getElement?.()?.focus({ preventScroll: true });
}
