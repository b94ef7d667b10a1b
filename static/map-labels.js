// The nodes' labels: none stands on another, on a pin or on a mark. The worst verdict keeps its label; a mark without one says the
// same in its tooltip, and shows it under the mouse.
import { VERDICTS } from "./map-icons.js";

const ORDER = Object.keys(VERDICTS); // the worst first

export function declutter(box) {
  const marks = [...box.querySelectorAll(".map-node")].sort((one, other) => rank(one) - rank(other));
  const shapes = box.querySelectorAll(".map-pin, .map-cluster, .map-node .diamonds");
  const taken = [...shapes].map((shape) => shape.getBoundingClientRect());
  for (const mark of marks) {
    const label = mark.querySelector(".name").getBoundingClientRect();
    const crowded = taken.some((other) => overlap(label, other));
    mark.classList.toggle("crowded", crowded);
    if (!crowded) taken.push(label);
  }
}

function rank(mark) {
  const at = ORDER.indexOf(mark.dataset.verdict);
  return at < 0 ? ORDER.length : at;
}

const overlap = (one, other) =>
  one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom;
