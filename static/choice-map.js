// The map beside the list of a field: made when its switch is turned, made anew when its address has changed.
import { mapApi } from "./choice-field.js";
import { inWords } from "./prepare.js";

const maps = new WeakMap(); // by host: {address, controller}
const live = new Map(); // host -> controller: to end those whose place has left the page
const views = new Map(); // by address: the place that a map showed when it ended, for the same map after a refused form

const hostOf = (field) => field.querySelector("[data-map-host]");
const controllerOf = (field) => maps.get(hostOf(field))?.controller;

export async function showMap(field, on) {
  const host = hostOf(field);
  host.hidden = !on;
  field.toggleAttribute("data-with-map", on);
  if (!on || maps.get(host)?.address === field.dataset.mapSrc) controllerOf(field)?.refresh();
  else await mountMap(field, host);
}

async function mountMap(field, host) {
  const address = field.dataset.mapSrc;
  const map = { address, controller: null };
  const former = maps.get(host);
  maps.set(host, map);
  if (former) end(host, former);
  endLostMaps(); // of a refused form: this one takes over the place that it showed
  host.dataset.mapSrc = address;
  host.setAttribute("aria-busy", "true");
  try {
    const { mount } = await import(field.dataset.mapMount);
    const controller = await mount(host, mapApi(field));
    if (maps.get(host) !== map) return;
    if (!controller) { maps.delete(host); return; }
    map.controller = controller;
    live.set(host, map);
    if (views.has(address)) controller.show(views.get(address));
    drawLines(field);
  } catch (error) {
    maps.delete(host);
    host.textContent = inWords("The map could not be loaded. The list beside it does the same; turn the switch to try again.");
    console.warn(error.message);
  } finally { host.removeAttribute("aria-busy"); }
}

// From each node to its stores, as the table beside the field has them.
export function drawLines(field) {
  const rows = [...(field.closest("form, section")?.querySelectorAll("[data-node]") ?? [])];
  const pairs = rows.map(({ dataset }) => ({ node: dataset.node, id: dataset.store, near: "near" in dataset }));
  controllerOf(field)?.lines(pairs);
}

export function refreshMap(field) {
  controllerOf(field)?.refresh();
}

export function endLostMaps() {
  for (const [host, map] of live) if (!host.isConnected) end(host, map);
}

export function forgetPlaces() {
  views.clear();
}

function end(host, { address, controller }) {
  if (!controller) return;
  views.set(address, controller.view());
  controller.destroy();
  live.delete(host);
}
