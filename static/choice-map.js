// The map beside the list of a field: made when its switch is turned, made anew when its address has changed.
import { mapApi } from "./choice-field.js";

const maps = new WeakMap(); // by host: {address, controller}
const live = new Map(); // host -> controller: to end those whose place has left the page

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
  former?.controller?.destroy();
  host.dataset.mapSrc = address;
  host.setAttribute("aria-busy", "true");
  try {
    const { mount } = await import(field.dataset.mapMount);
    const controller = await mount(host, mapApi(field));
    if (maps.get(host) !== map) return;
    if (!controller) { maps.delete(host); return; }
    map.controller = controller;
    live.set(host, controller);
    drawLines(field);
  } catch (error) {
    maps.delete(host);
    host.textContent = "The map could not be loaded. The list beside it does the same; turn the switch to try again.";
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
  for (const [host, controller] of live) {
    if (host.isConnected) continue;
    controller.destroy();
    live.delete(host);
  }
}
