// The controls of a field to choose from, <… data-choice>: the one truth. Everything reads them, or changes them as a
// hand would.

export const fieldOf = (element) => element.closest?.("[data-choice]");
export const optionsOf = (field) => [...field.querySelectorAll("[data-option]")];
export const searchOf = (field) => field.querySelector("[data-search]");

export function visibleOptions(field) {
  return optionsOf(field).filter((option) => !option.disabled && !option.closest("li")?.hidden);
}

export function announceChange(control) {
  control.dispatchEvent(new Event("input", { bubbles: true }));
  control.dispatchEvent(new Event("change", { bubbles: true }));
}

// The options by value, found once: a map of a thousand pins asks for each with every click.
const found = new WeakMap();

function optionOf(field, id) {
  if (!found.has(field)) found.set(field, new Map(optionsOf(field).map((option) => [option.value, option])));
  return found.get(field).get(id);
}

export function forgetOptions(field) {
  found.delete(field);
}

// What an option says, as its attributes have it or else its row: its name, and where it is ("eu-west-1 · Dublin").
export const nameOf = (option) => option.dataset.name ?? rowOf(option).querySelector("strong").textContent;
export const codeOf = (option) => option.dataset.code ?? wordsOf(option).split(" · ")[0];

const rowOf = (option) => option.closest("li");
const wordsOf = (option) => rowOf(option).querySelector(".quiet-text").textContent;
const labelOf = (option) => option.dataset.label ?? `${nameOf(option)}, ${wordsOf(option).replaceAll(" · ", ", ")}`;

// What the map asks of the field: the labels and the states of its pins, and to choose one.
export function mapApi(field) {
  return typedInput(field) ? apiOfTyped(field) : apiOfOptions(field);
}

const typedInput = (field) => field.querySelector("input[list]"); // a region that is typed: one of the list's options

function apiOfTyped(field) {
  const find = (id) => optionOf(field, id);
  const value = () => typedInput(field).value.trim().toLowerCase();
  return {
    noun: field.dataset.noun,
    single: true,
    label: (id) => `${id}, ${find(id)?.textContent ?? ""}`,
    state: (id) => (!find(id) ? "unusable" : value() === id ? "chosen" : "available"),
    toggle: (id) => {
      typedInput(field).value = id;
      announceChange(typedInput(field));
    },
  };
}

function apiOfOptions(field) {
  const find = (id) => optionOf(field, id);
  return {
    noun: field.dataset.noun,
    single: false,
    fixed: optionsOf(field).every((option) => option.checked === undefined), // a map to look at
    judged: optionsOf(field).some((option) => "verdict" in option.dataset) || Boolean(field.querySelector("[data-spot]")),
    place: (spot) => field.querySelector(`[data-spot="${spot.map((one) => one.toFixed(3)).join()}"]`)?.dataset,
    label: (id) => (find(id) ? labelOf(find(id)) : id),
    state: (id) => stateOf(find(id)),
    toggle: (id) => toggle(find(id)),
  };
}

function stateOf(option) {
  if (!option || option.disabled) return "unusable";
  if (option.dataset.verdict) return option.dataset.verdict;
  const attached = option.hasAttribute("data-attached");
  if (option.checked ?? true) return attached ? "attached" : "chosen";
  return attached ? "leaving" : "available";
}

export function toggle(option) {
  if (!option || option.disabled) return;
  option.checked = !option.checked;
  announceChange(option);
}
