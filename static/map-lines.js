// The outline of land and borders below everything, and lines along great circles from nodes to their stores.
const outlines = new Map(); // by URL: every map of the page draws the same world

export function outlineLayer(url) {
  const layer = L.geoJSON(null, {
    pane: "outline",
    interactive: false,
    attribution: "Outline: Natural Earth. Regions: mcp-server-cloud-regions 1.0.4",
    style: (feature) => ({ className: `map-${feature.properties.k}` }),
  });
  layer.onAdd = (map) => {
    // Below tiles, if there are any: the outline stays where they do not arrive.
    if (!map.getPane("outline")) map.createPane("outline").style.zIndex = 150;
    L.GeoJSON.prototype.onAdd.call(layer, map);
  };
  outline(url).then((data) => layer.addData(data));
  return layer;
}

function outline(url) {
  if (!outlines.has(url)) {
    outlines.set(url, fetch(url).then((answer) => answer.json()).catch(() => {
      outlines.delete(url);
      return []; // pins on a plain sea are still a map
    }));
  }
  return outlines.get(url);
}

// The line between two places, or null where there is none to draw.
export function lineBetween(from, to, near) {
  const pieces = from && to ? greatCircle(from, to) : [];
  if (!pieces.length) return null;
  const className = near ? "map-line near" : "map-line";
  return L.polyline(pieces, { pane: "lines", interactive: false, near: Boolean(near), className, smoothFactor: 0.5 });
}

// Points of the great circle between two places, in pieces that end at the map's edges.
function greatCircle(from, to, steps = 48) {
  const [a, b] = [vector(from), vector(to)];
  const angle = Math.acos(Math.max(-1, Math.min(1, a[0] * b[0] + a[1] * b[1] + a[2] * b[2])));
  // The same place; or its antipode, where every way is the shortest.
  if (angle < 1e-4 || angle > Math.PI - 1e-4) return [];
  const pieces = [[]];
  let last = null;
  for (let step = 0; step <= steps; step += 1) {
    const point = pointBetween(a, b, angle, step / steps);
    if (last && Math.abs(point[1] - last[1]) > 180) {
      const [end, start] = edgeBetween(last, point);
      pieces.at(-1).push(end);
      pieces.push([start]);
    }
    pieces.at(-1).push(point);
    last = point;
  }
  return pieces;
}

function vector([lat, lon]) {
  const [phi, lambda] = [lat * Math.PI / 180, lon * Math.PI / 180];
  return [Math.cos(phi) * Math.cos(lambda), Math.cos(phi) * Math.sin(lambda), Math.sin(phi)];
}

// The point of the great circle at this share of the way from a to b, as [lat, lon].
function pointBetween(a, b, angle, share) {
  const [p, q] = [Math.sin((1 - share) * angle), Math.sin(share * angle)];
  const [x, y, z] = a.map((part, axis) => (p * part + q * b[axis]) / Math.sin(angle));
  return [Math.atan2(z, Math.hypot(x, y)) * 180 / Math.PI, Math.atan2(y, x) * 180 / Math.PI];
}

// Where a step crosses the map's edge: the point on this side, and the same one on the other.
function edgeBetween(last, point) {
  const edge = last[1] < 0 ? -180 : 180;
  const share = (edge - last[1]) / (point[1] + 2 * edge - last[1]);
  const lat = last[0] + share * (point[0] - last[0]);
  return [[lat, edge], [lat, -edge]];
}
