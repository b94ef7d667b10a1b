// The map's browser half. Folium's script (console/worldmap.py) asks for its parts: outline, pins, clusters, nodes; the
// page's script gives the labels and states and keeps the choice. Text comes in as textContent and attributes only.
"use strict";
window.WorldMap = (() => {
  const PIN = "M14 34.5C10.2 27.5 3 21.5 3 13.5a11 11 0 0 1 22 0C25 21.5 17.8 27.5 14 34.500Z";
  const DIAMOND = "M9 1.5 16.5 9 9 16.5 1.5 9Z";
  // A state shows in the pin's glyph and outline, not in its colour alone.
  const STATES = {
    attached: { chosen: true, says: "attached", legend: "Attached", glyph: "m9 13.8 3.5 3.5 6.5-7.3" },
    chosen: { chosen: true, says: "newly chosen", legend: "Newly chosen", glyph: "M14 8.5v10M9 13.5h10" },
    leaving: { chosen: false, says: "will be taken out", legend: "Will be taken out", glyph: "M9 13.5h10" },
    available: { chosen: false, says: "available", legend: "Available", glyph: "M14 13.5h.01" },
    unusable: { chosen: false, says: "cannot be chosen", legend: "Cannot be chosen", glyph: "m10 9.5 8 8m0-8-8 8" },
  };
  const RADIO = "M14 13.5h.01"; // the one that is chosen has a dot, as a radio button has

  const make = (tag, className, text = "") => {
    const element = document.createElement(tag);
    element.className = className;
    element.textContent = text;
    return element;
  };
  const draw = (width, height, className, ...paths) => {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const attributes = { class: className, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true", focusable: "false" };
    for (const [name, value] of Object.entries(attributes)) svg.setAttribute(name, value);
    for (const [part, d] of paths) {
      const path = svg.appendChild(document.createElementNS(svg.namespaceURI, "path"));
      path.setAttribute("class", part);
      path.setAttribute("d", d);
    }
    return svg;
  };
  const pinShape = () => draw(28, 36, "map-shape", ["body", PIN], ["glyph", ""]);
  const diamond = () => draw(18, 18, "map-diamond", ["body", DIAMOND]);

  const outlines = new Map(); // by URL: every map of the page draws the same world
  const outline = (url) => {
    if (!outlines.has(url)) {
      outlines.set(url, fetch(url).then((answer) => answer.json()).catch(() => {
        outlines.delete(url);
        return []; // pins on a plain sea are still a map
      }));
    }
    return outlines.get(url);
  };

  // Points of the great circle between two places, in pieces that end at the map's edges.
  const greatCircle = (from, to, steps = 48) => {
    const vector = ([lat, lon]) => {
      const [phi, lambda] = [lat * Math.PI / 180, lon * Math.PI / 180];
      return [Math.cos(phi) * Math.cos(lambda), Math.cos(phi) * Math.sin(lambda), Math.sin(phi)];
    };
    const [a, b] = [vector(from), vector(to)];
    const angle = Math.acos(Math.max(-1, Math.min(1, a[0] * b[0] + a[1] * b[1] + a[2] * b[2])));
    if (angle < 1e-4 || angle > Math.PI - 1e-4) return []; // the same place; or its antipode, where every way is the shortest
    const pieces = [[]];
    let last = null;
    for (let step = 0; step <= steps; step += 1) {
      const [p, q] = [Math.sin((1 - step / steps) * angle), Math.sin(step / steps * angle)];
      const [x, y, z] = a.map((part, axis) => (p * part + q * b[axis]) / Math.sin(angle));
      const point = [Math.atan2(z, Math.hypot(x, y)) * 180 / Math.PI, Math.atan2(y, x) * 180 / Math.PI];
      if (last && Math.abs(point[1] - last[1]) > 180) {
        const edge = last[1] < 0 ? -180 : 180;
        const share = (edge - last[1]) / (point[1] + 2 * edge - last[1]);
        const lat = last[0] + share * (point[0] - last[0]);
        pieces.at(-1).push([lat, edge]);
        pieces.push([[lat, -edge]]);
      }
      pieces.at(-1).push(point);
      last = point;
    }
    return pieces;
  };

  // An icon whose element is made once and painted afterwards, so that it keeps the focus.
  const Face = L.DivIcon.extend({
    createIcon(old) {
      const element = L.DivIcon.prototype.createIcon.call(this, old);
      this.options.fill(element);
      return element;
    },
  });
  const face = (className, fill) => new Face({ className, fill, html: false, iconSize: null });

  const Outline = L.GeoJSON.extend({
    onAdd(map) {
      // Below tiles, if there are any: the outline stays where they do not arrive.
      if (!map.getPane("outline")) map.createPane("outline").style.zIndex = 150;
      L.GeoJSON.prototype.onAdd.call(this, map);
    },
  });

  const open = (host, api) => {
    const shown = new WeakMap(); // element -> {layer, text()}: for the tooltip and the keyboard
    const spots = { pins: new Map(), nodes: new Map() };
    const moves = !matchMedia("(prefers-reduced-motion: reduce)").matches;
    let box, map, group, lines, tip;
    let legend = make("ul", "map-legend");
    let spread = null; // the cluster whose pins are fanned out
    let held = null; // what has the focus, to give it back when a zoom replaces its element

    let told = null; // the element whose tooltip is open
    let clustered = false; // whether a cluster was ever seen

    const stateOf = (id) => (api.state(id) in STATES ? api.state(id) : "available");
    const looks = (id) => STATES[stateOf(id)];
    const glyph = (state) => (api.single && state === "chosen" ? RADIO : STATES[state].glyph);
    const dress = (element, state) => {
      element.dataset.state = state;
      element.classList.toggle("single", Boolean(api.single));
      element.querySelector(".glyph").setAttribute("d", glyph(state));
    };

    const paintPin = (element, id) => {
      const state = looks(id);
      dress(element, stateOf(id));
      if (!api.fixed) element.setAttribute("aria-checked", String(state.chosen));
      element.setAttribute("aria-label", `${api.label(id)}, ${api.single && state.chosen ? "chosen" : state.says}`);
      if (state === STATES.unusable) element.setAttribute("aria-disabled", "true"); else element.removeAttribute("aria-disabled");
    };
    const paintCluster = (element, cluster) => {
      const all = cluster.getAllChildMarkers();
      const chosen = all.filter((marker) => looks(marker.options.pin).chosen).length;
      const text = chosen ? `${chosen}/${all.length}` : String(all.length);
      element.firstChild.textContent = text;
      element.dataset.fill = chosen === 0 ? "none" : chosen === all.length ? "all" : "some";
      element.dataset.size = text.length > 5 ? "large" : text.length > 3 ? "medium" : "small";
      element.style.setProperty("--share", `${Math.round(chosen / all.length * 100)}%`);
      element.setAttribute("aria-label", `${chosen} of ${all.length} ${api.noun}s chosen here; press Enter to spread them`);
    };
    const paint = (layer) => {
      const element = layer.getElement?.();
      if (!element || !shown.has(element)) return;
      if (layer instanceof L.MarkerCluster) paintCluster(element, layer);
      else if (layer.options.pin !== undefined) paintPin(element, layer.options.pin);
    };

    const explain = () => {
      const states = new Set([...spots.pins.keys()].map(stateOf));
      const entries = Object.keys(STATES).filter((state) => states.has(state)).map((state) => {
        const symbol = make("span", "map-pin");
        symbol.append(pinShape());
        dress(symbol, state);
        return [symbol, api.single && state === "chosen" ? "Chosen" : STATES[state].legend];
      });
      map.eachLayer((layer) => { clustered ||= layer instanceof L.MarkerCluster; });
      if (clustered) {
        const symbol = make("span", "map-cluster");
        symbol.append(make("span", "map-count", "2/3"));
        symbol.dataset.fill = "some";
        symbol.style.setProperty("--share", "66%");
        entries.push([symbol, `Several ${api.noun}s, 2 of 3 chosen`]);
      }
      if (spots.nodes.size) entries.push([diamond(), "Node"]);
      for (const [near, words] of [[true, "Nearest to the node"], [false, "Further away"]]) {
        if (lines.getLayers().some((line) => line.options.near === near)) entries.push([make("span", near ? "map-stroke near" : "map-stroke"), words]);
      }
      const rows = entries.map(([symbol, words]) => {
        const row = make("li", "");
        symbol.setAttribute("aria-hidden", "true");
        row.append(symbol, make("span", "", words));
        return row;
      });
      // The same entries stay as they are: a legend that is rewritten with every click makes the page jump.
      if (rows.map((row) => row.outerHTML).join() !== [...legend.children].map((row) => row.outerHTML).join()) legend.replaceChildren(...rows);
    };

    // One tooltip for everything on the map: a thousand of them would cost more than the map.
    const tell = (element) => {
      const { layer, text } = shown.get(element);
      const { x, y } = map.latLngToContainerPoint(layer.getLatLng());
      const fan = spread && layer.options.pin !== undefined && spread.getAllChildMarkers().includes(layer);
      const aside = fan ? x - map.latLngToContainerPoint(spread.getLatLng()).x : 0;
      // Inside the map's frame, and away from the other pins of a fan.
      const side = x < 140 || aside > 10 ? "right" : x > map.getSize().x - 140 || aside < -10 ? "left" : "";
      const direction = side || (y < 120 ? "bottom" : "top");
      const height = layer.options.below ? 20 : -20; // a node's middle below its place, a pin's above
      tip.options.direction = direction;
      tip.options.offset = { top: [0, Math.min(0, height * 2)], bottom: [0, Math.max(8, height * 2)], right: [18, height], left: [-18, height] }[direction];
      told = element;
      tip.setLatLng(layer.getLatLng()).setContent(make("span", "", text()));
      map.openTooltip(tip);
      tip.getElement().setAttribute("aria-hidden", "true"); // the element's own label says the same
    };
    const hush = () => {
      told = null;
      map.closeTooltip(tip);
    };

    const focus = (layer) => layer?.getElement?.()?.focus({ preventScroll: true });
    const choose = (marker) => { if (!api.fixed && looks(marker.options.pin) !== STATES.unusable) api.toggle(marker.options.pin); };
    const fold = () => {
      const cluster = spread;
      group.unspiderfy();
      focus(cluster);
    };
    const unfold = (cluster) => {
      if (cluster === spread) return fold();
      hush();
      const bounds = cluster.getBounds();
      // Pins of one place never come apart by zooming: they fan out, and "spiderfied" moves the focus.
      if (bounds.getSouthWest().equals(bounds.getNorthEast()) || map.getZoom() >= map.getMaxZoom()) {
        const { x, y } = map.getSize();
        const padding = cluster.getChildCount() > 8 ? [x / 2, y / 2] : [90, 100]; // a large fan needs the whole map
        map.panInside(cluster.getLatLng(), { padding, animate: false });
        return cluster.spiderfy();
      }
      const [first] = cluster.getAllChildMarkers();
      group.once("animationend", () => focus(group.getVisibleParent(first)));
      cluster.zoomToBounds({ padding: [48, 56] });
    };
    const act = (layer) => (layer instanceof L.MarkerCluster ? unfold(layer) : layer.options.pin !== undefined && choose(layer));

    const keys = (event) => {
      if (event.key === "Escape" && spread) {
        event.preventDefault(); // and the dialog around the map stays open
        event.stopPropagation();
        return fold();
      }
      if (event.key !== "Enter" && event.key !== " ") return;
      const known = shown.get(event.target);
      if (known) {
        event.preventDefault(); // the space bar would scroll, Enter would send the form
        if (!event.repeat) act(known.layer);
      } else if (event.key === " " && event.target.matches("a[role=button]")) {
        event.preventDefault(); // Leaflet's zoom buttons are links, which know only Enter
        event.target.click();
      }
    };

    const listen = () => {
      box.addEventListener("keydown", keys);
      const marker = (event) => event.target.closest?.(".leaflet-marker-icon");
      for (const name of ["mouseover", "focusin"]) {
        box.addEventListener(name, (event) => {
          const element = marker(event);
          if (!element || !shown.has(element)) return;
          const { layer } = shown.get(element);
          if (name === "focusin") {
            held = layer;
            if (!element.matches(":focus-visible")) return;
            map.panInside(layer.getLatLng(), { padding: [40, 56] });
          }
          tell(element);
        });
      }
      box.addEventListener("mouseout", (event) => { if (marker(event)) hush(); });
      box.addEventListener("focusout", (event) => {
        hush();
        if (event.relatedTarget) held = null;
      });
      // A wheel that turns over the map scrolls the page, unless the reader is at work here or holds Ctrl.
      box.addEventListener("wheel", (event) => {
        const wanted = event.ctrlKey || event.metaKey || box.contains(document.activeElement);
        map.scrollWheelZoom[wanted ? "enable" : "disable"]();
      }, { capture: true, passive: true });

      group.on("click", (event) => choose(event.layer));
      group.on("clusterclick", (event) => unfold(event.layer));
      group.on("spiderfied", (event) => {
        spread = event.cluster;
        focus(event.markers[0]);
      });
      const rescue = () => {
        if (!held || document.activeElement !== document.body) return;
        focus(group.getVisibleParent(held instanceof L.MarkerCluster ? held.getAllChildMarkers()[0] : held));
      };
      group.on("unspiderfied", () => { spread = null; rescue(); });
      group.on("animationend", rescue);
      map.on("zoomend", explain);
    };

    return {
      moves,
      drags: !matchMedia("(pointer: coarse)").matches, // one finger scrolls the page, two move the map

      container(id) {
        box = make("div", "map");
        box.id = id;
        box.setAttribute("role", "group");
        box.setAttribute("aria-label", `Map of ${api.noun}s; the arrow keys move it, plus and minus zoom`);
        // Leaflet focuses its box as the button goes down; a dialog that scrolled then would take the click away.
        box.focus = () => HTMLElement.prototype.focus.call(box, { preventScroll: true });
        host.replaceChildren(box, legend);
        return box;
      },

      outline(url) {
        const layer = new Outline(null, {
          pane: "outline",
          interactive: false,
          attribution: "Outline: Natural Earth. Regions: mcp-server-cloud-regions 1.0.4",
          style: (feature) => ({ className: `map-${feature.properties.k}` }),
        });
        outline(url).then((data) => layer.addData(data));
        return layer;
      },

      pin([lat, lon, id]) {
        spots.pins.set(id, [lat, lon]);
        const marker = L.marker([lat, lon], {
          pin: id,
          keyboard: false,
          autoPanOnFocus: false, // a map that moves under a mouse button loses the click; `focusin` pans for the keyboard
          icon: face("map-pin", (element) => {
            element.append(pinShape());
            element.tabIndex = 0;
            element.setAttribute("role", api.fixed ? "img" : api.single ? "radio" : "checkbox");
            shown.set(element, { layer: marker, text: () => element.getAttribute("aria-label") });
            paintPin(element, id);
          }),
        });
        return marker;
      },

      cluster(cluster) {
        cluster.options.autoPanOnFocus = false;
        return face("map-cluster", (element) => {
          element.append(make("span", "map-count"));
          shown.set(element, { layer: cluster, text: () => element.getAttribute("aria-label").split(";")[0] });
          paintCluster(element, cluster);
        });
      },

      nodes(spot, names, place) {
        for (const name of names) spots.nodes.set(name, spot);
        const words = `${names.join(", ")} in ${place}`;
        const marker = L.marker(spot, {
          below: true,
          keyboard: false,
          autoPanOnFocus: false,
          zIndexOffset: 500, // small, and without clicks of its own: over pins, under what is fanned out
          icon: face("map-node", (element) => {
            const diamonds = make("span", "diamonds");
            diamonds.append(...names.map(diamond));
            element.append(diamonds, make("span", "name", names.join(", ")));
            element.setAttribute("role", "img");
            element.setAttribute("aria-label", words);
            shown.set(element, { layer: marker, text: () => words });
          }),
        });
        return marker;
      },

      ready(made, cluster) {
        [map, group] = [made, cluster];
        map.attributionControl?.setPrefix(false);
        map.createPane("lines").style.zIndex = 350;
        for (const pane of ["lines", "outline", "overlayPane"]) map.getPane(pane)?.setAttribute("aria-hidden", "true");
        const markers = map.getPane("markerPane");
        markers.setAttribute("role", "group");
        markers.setAttribute("aria-label", `${api.noun[0].toUpperCase()}${api.noun.slice(1)}s on the map`);
        lines = L.featureGroup().addTo(map);
        tip = L.tooltip({ className: "map-tip", opacity: 1 });
        listen();
        explain();
        const watch = new ResizeObserver(() => { if (box.clientWidth) map.invalidateSize({ animate: false }); });
        watch.observe(box);

        return {
          refresh() {
            map.eachLayer(paint);
            if (told?.isConnected) tell(told);
            explain();
          },
          lines(pairs) {
            lines.clearLayers();
            for (const { node, id, near } of pairs) {
              const [from, to] = [spots.nodes.get(node), spots.pins.get(id)];
              const pieces = from && to ? greatCircle(from, to) : [];
              if (pieces.length) L.polyline(pieces, { pane: "lines", interactive: false, near: Boolean(near), className: near ? "map-line near" : "map-line", smoothFactor: 0.5 }).addTo(lines);
            }
            explain();
          },
          destroy() {
            watch.disconnect();
            map.remove();
            host.replaceChildren();
          },
        };
      },
    };
  };

  return { open };
})();
