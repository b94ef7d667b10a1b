// The list of a field: the chips of what is chosen, each with a button that takes it out, and the search.
import { codeOf, nameOf, optionsOf, searchOf } from "./choice-field.js";
import { inWords } from "./prepare.js";

export function showChips(field) {
  const place = field.querySelector("[data-chips]");
  if (!place) return;
  const chosen = optionsOf(field).filter((option) => option.checked);
  place.replaceChildren(...chosen.map(chip));
  place.hidden = !chosen.length;
  field.querySelector("[data-clear]").disabled = !chosen.length;
}

function chip(option) {
  const name = nameOf(option);
  const code = codeOf(option);
  const item = element("li", "", { class: "chip" });
  const out = { type: "button", class: "chip-out", "data-out": option.value, "aria-label": inWords("Take out {name}", { name }) };
  item.append(element("strong", name), ` ${code} `, element("button", "×", out));
  return item;
}

function element(tag, text, attributes = {}) {
  const made = Object.assign(document.createElement(tag), { textContent: text });
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

export function search(field) {
  const words = searchOf(field).value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const row of field.querySelectorAll("[data-list] > li")) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
    if (!row.hidden) count += 1;
  }
  const told = field.querySelector("[data-found]");
  told.textContent = count || !words.length ? (words.length ? inWords("{count} found", { count }) : "")
    : inWords("Nothing matches. Try another word.");
  told.classList.toggle("unseen", Boolean(count) || !words.length);
}
