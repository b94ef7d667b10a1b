// What each new piece of a page needs before anybody reads it: the reader's own times, confirmations, the focus.

// The sentences of scripts stand in them in English; a page in another language brings what those are in it.
const { lang: LANGUAGE, dataset: { words: WORDS_OF_PAGE } } = document.documentElement;
const TRANSLATED = JSON.parse(WORDS_OF_PAGE ?? "{}");

// A sentence in the page's language, with {name} for what is given by that name.
export function inWords(text, given = {}) {
  return (TRANSLATED[text] ?? text).replace(/\{(\w+)\}/g, (place, name) => given[name] ?? place);
}

export const inDigits = (number) => number.toLocaleString(LANGUAGE);

export function prepare(root) {
  root.querySelectorAll("time[data-time]").forEach(showTime);
  root.querySelectorAll("form[data-confirm]").forEach(checkConfirmation);
  root.querySelectorAll("input[list]").forEach(showPlace);
  root.querySelectorAll("input[data-suggested]").forEach(showOwnTime);
  root.querySelectorAll(".field").forEach(describeField);
  root.querySelectorAll("input[data-zone]").forEach(offerOwnZone);
  root.querySelectorAll("details:not([open]) [aria-invalid=true]").forEach(unfold);
  takeFocus(root);
}

// Times in the reader's own zone.
const UNITS = [
  [60, "second"], [60, "minute"], [24, "hour"], [7, "day"], [4.35, "week"], [12, "month"], [Infinity, "year"],
];
const WORDS = new Intl.RelativeTimeFormat(LANGUAGE, { numeric: "auto" });

const SHOWN = { exact, clock };

export function updateTimes() {
  document.querySelectorAll("time[data-time=ago]").forEach(showTime);
}

function showTime(time) {
  const date = new Date(time.dateTime);
  const text = (SHOWN[time.dataset.time] ?? ago)(date);
  if (time.textContent !== text) time.textContent = text;
  time.title = date.toLocaleString(undefined, { dateStyle: "full", timeStyle: "long" });
}

function clock(date) {
  return date.toLocaleTimeString(undefined, { timeStyle: "medium" });
}

// In the form that the server wrote it in, so that nothing moves, in the reader's zone, which it names.
function exact(date) {
  const local = date.toLocaleString("sv-SE", { dateStyle: "short", timeStyle: "medium" });
  const parts = new Intl.DateTimeFormat("en-GB", { timeZoneName: "short" }).formatToParts(date);
  return `${local} ${parts.find((one) => one.type === "timeZoneName").value}`;
}

function ago(date) {
  let amount = (date - Date.now()) / 1000;
  for (const [size, unit] of UNITS) {
    if (Math.abs(amount) < size) return WORDS.format(Math.round(amount), unit);
    amount /= size;
  }
}

// Typed confirmation: the button waits for the exact name; the server checks it again.
export function checkConfirmation(form) {
  const button = form.querySelector("button[type=submit]");
  button.disabled = form.elements.name.value !== form.dataset.confirm;
}

// The place of the region whose code stands in the field; the codes of the place that does.
export function showPlace(field) {
  const output = document.querySelector(`[data-place-of="${field.id}"]`);
  if (!output) return;
  const text = field.value.trim().toLowerCase();
  const options = text ? [...(field.list?.options ?? [])] : [];
  const code = options.find((option) => option.value === text);
  const names = (place) => [place, ...place.split(", ")];
  const places = code ? [] : options.filter((option) => names(option.textContent.toLowerCase()).includes(text));
  output.textContent = code?.textContent ?? places.map((option) => `${option.value}, ${option.textContent}`).join(` ${inWords("or")} `);
}

// Who gives a time means one in their own zone; a time that came without one is in UTC, and stays so.
function offerOwnZone(field) {
  field.list.replaceChildren(...(Intl.supportedValuesOf?.("timeZone") ?? []).map((zone) => new Option("", zone)));
  if (new URLSearchParams(location.search).has("zone")) return;
  field.value = Intl.DateTimeFormat().resolvedOptions().timeZone || field.value;
}

// A suggested time, on the reader's own clock, with its zone in the field beside it.
function showOwnTime(field) {
  const date = new Date(field.dataset.suggested);
  field.value = new Date(date - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
  document.getElementById(field.dataset.shownIn).value = Intl.DateTimeFormat().resolvedOptions().timeZone;
}

function describeField(field) {
  const control = field.querySelector("input, select");
  const texts = [...field.querySelectorAll(".hint, .error")].map((text) => text.id).filter(Boolean);
  if (!control || !texts.length || control.hasAttribute("aria-describedby")) return;
  control.setAttribute("aria-describedby", texts.join(" "));
}

// What is wrong must be seen, whatever the reader has folded.
function unfold(field) {
  for (let part = field.closest("details"); part; part = part.parentElement.closest("details")) part.open = true;
}

// The first field that is wrong, of the form above which that is said.
function firstWrong(told) {
  const fields = told.closest("form")?.querySelectorAll("[aria-invalid=true]") ?? [];
  return [...fields].find((field) => field.offsetParent !== null && !field.disabled);
}

// What is wrong and the first field that is are read together: that field has the focus where both have room on the
// screen, else what is wrong has, whose links lead to the fields.
function takeFocus(root) {
  const first = root.querySelector("[data-focus]");
  if (!first) return;
  delete first.dataset.focus; // once: what refreshes itself beside it must not take the focus back
  const wrong = firstWrong(first);
  (wrong && fitTogether(first, wrong) ? wrong : first).focus({ preventScroll: true });
  first.scrollIntoView({ block: "start" });
}

const KEPT_FREE = 100; // pixels: the footer of a dialog stands over its end

function fitTogether(above, below) {
  const room = (above.closest("dialog") ?? document.documentElement).clientHeight - KEPT_FREE;
  return below.getBoundingClientRect().bottom - above.getBoundingClientRect().top < room;
}
