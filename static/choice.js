// Choosing from many, by list and by map: what a click and a key do. console.js loads it where there is such a field.
import { announceChange, fieldOf, forgetOptions, optionsOf, searchOf, toggle, visibleOptions } from "./choice-field.js";
import { search, showChips } from "./choice-list.js";
import { drawLines, endLostMaps, forgetPlaces, refreshMap, showMap } from "./choice-map.js";

function refresh(field) {
  showChips(field);
  refreshMap(field);
}

// After many options were changed at once: told once.
function settle(field) {
  const [first] = optionsOf(field);
  if (first) announceChange(first);
  refresh(field);
}

function onChange({ target }) {
  const field = fieldOf(target);
  if (!field) return;
  if (target.matches("[data-show-map]")) showMap(field, target.checked);
  else if (target.matches("[data-option], input[list]")) refresh(field);
}

function onInput({ target }) {
  if (target.matches("[data-search]")) search(fieldOf(target));
}

function onClick(event) {
  const button = event.target.closest?.("[data-out], [data-clear], [data-reset]");
  if (!button) return;
  if (button.matches("[data-reset]")) {
    event.preventDefault();
    reset(button.form ?? button.closest("form"));
  } else if (button.matches("[data-clear]")) clear(fieldOf(button));
  else takeOut(fieldOf(button), button);
}

function reset(form) {
  for (const field of form.querySelectorAll("[data-choice]")) {
    for (const option of optionsOf(field)) option.checked = option.hasAttribute("data-attached");
    settle(field);
  }
}

function clear(field) {
  for (const option of optionsOf(field)) option.checked = false;
  settle(field);
  searchOf(field).focus();
}

function takeOut(field, button) {
  const at = [...field.querySelectorAll("[data-out]")].indexOf(button);
  const option = optionsOf(field).find((one) => one.value === button.dataset.out);
  option.checked = false;
  announceChange(option);
  // The focus goes where the hand was: to the next chip, or back to the search.
  const rest = field.querySelectorAll("[data-out]");
  (rest[Math.min(at, rest.length - 1)] ?? searchOf(field)).focus();
}

function onKeydown(event) {
  const field = fieldOf(event.target);
  if (!field || !event.target.matches("[data-search], [data-option]")) return;
  if (event.key === "Enter") chooseFirst(event, field);
  else if (event.key === "ArrowDown" || event.key === "ArrowUp") moveInList(event, field);
}

function chooseFirst(event, field) {
  event.preventDefault(); // it would send the form
  const { target } = event;
  const [first] = target.matches("[data-search]") && target.value ? visibleOptions(field) : [];
  if (!first) return;
  toggle(first);
  target.value = ""; // for the next one
  search(field);
}

function moveInList(event, field) {
  const options = visibleOptions(field);
  const down = event.key === "ArrowDown";
  const at = options.indexOf(event.target) + (down ? 1 : -1);
  if (down || !event.target.matches("[data-search]")) event.preventDefault();
  if (at < 0) searchOf(field).focus();
  else options[Math.min(at, options.length - 1)]?.focus();
}

// Brings each field of the page, and of a dialog, in line with its controls: they may have been changed or exchanged.
function prepareFields() {
  for (const field of document.querySelectorAll("[data-choice]")) {
    forgetOptions(field);
    showChips(field);
    if (searchOf(field)?.value) search(field);
    if (field.querySelector("[data-show-map]")?.checked) showMap(field, true).then(() => drawLines(field));
  }
}

document.addEventListener("change", onChange);
document.addEventListener("input", onInput);
document.addEventListener("click", onClick);
document.addEventListener("keydown", onKeydown);
document.addEventListener("htmx:afterSettle", () => { endLostMaps(); prepareFields(); });
document.getElementById("dialog").addEventListener("close", () => setTimeout(() => { endLostMaps(); forgetPlaces(); }));
prepareFields();
