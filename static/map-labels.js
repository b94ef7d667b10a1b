// The nodes' labels: none stands on another, on a pin or on a mark. The worst verdict keeps its label; a mark without one says the
// same in its tooltip, and shows it under the mouse.
import { VERDICTS } from "./map-icons.js";
import { inDigits, inWords } from "./prepare.js";

const ORDER = Object.keys(VERDICTS); // the worst first

export function declutter(box) {
  const marks = [...box.querySelectorAll(".map-node")].sort((one, other) => rank(one) - rank(other));
  const heads = nameHeaps(marks);
  const shapes = box.querySelectorAll(".map-pin, .map-cluster, .map-node .diamonds");
  const taken = [...shapes].map((shape) => shape.getBoundingClientRect());
  for (const mark of marks) {
    const label = mark.querySelector(".name").getBoundingClientRect();
    const crowded = !heads.has(mark) || taken.some((other) => overlap(label, other));
    mark.classList.toggle("crowded", crowded);
    if (!crowded) taken.push(label);
  }
}

// Marks that lie on each other are a heap: the lowest of them, under which there is room, says how many nodes it has.
function nameHeaps(marks) {
  const heaps = []; // lists of {mark, area}
  for (const mark of marks) {
    const area = mark.querySelector(".diamonds").getBoundingClientRect();
    const joined = heaps.filter((heap) => heap.some((other) => overlap(area, other.area)));
    for (const heap of joined) heaps.splice(heaps.indexOf(heap), 1);
    heaps.push([...joined.flat(), { mark, area }]);
    mark.querySelector(".name").textContent = mark.dataset.name;
  }
  return new Set(heaps.map((heap) => {
    const { mark } = heap.reduce((lowest, one) => (one.area.bottom > lowest.area.bottom ? one : lowest));
    const nodes = heap.reduce((sum, one) => sum + Number(one.mark.dataset.nodes), 0);
    if (heap.length > 1 && nodes) mark.querySelector(".name").textContent = inWords("{count} nodes", { count: inDigits(nodes) });
    return mark;
  }));
}

function rank(mark) {
  const at = ORDER.indexOf(mark.dataset.verdict);
  return at < 0 ? ORDER.length : at;
}

const overlap = (one, other) =>
  one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom;
