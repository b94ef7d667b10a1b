// The console's own behaviour, on top of htmx; without it everything works as full pages. start(), at the end, lists
// the concerns: each has one function that registers its listeners, and below that stand those that do the work.
import { checkConfirmation, inWords, prepare, showPlace, updateTimes } from "./prepare.js";

const dialog = document.getElementById("dialog");
const voice = document.getElementById("said");

// A refreshed region keeps what the reader unfolded, and what is under their hands.
function keepWhatTheReaderChanged() {
  if (!window.Idiomorph) return;
  const { defaults } = Idiomorph;
  defaults.ignoreActiveValue = true;
  defaults.callbacks.beforeAttributeUpdated = (name, node) => !(name === "open" && node.localName === "details");
  defaults.callbacks.beforeNodeMorphed = (old, fresh) => {
    letGoOfAnother(old, fresh);
    return !isSameTime(old, fresh) && !isMadeByScript(old);
  };
}

// A row of a list may become another's: then the box under the reader's hands must not keep the value that it had.
function letGoOfAnother(old, fresh) {
  if (old === document.activeElement && old.type === "checkbox" && old.value !== fresh.value) old.blur();
}

// A time that stays the same keeps the reader's zone; otherwise it would flicker with every poll.
function isSameTime(old, fresh) {
  return old.localName === "time" && old.dateTime === fresh.dateTime;
}

// What scripts have made (chips, a map) is theirs.
function isMadeByScript(node) {
  return node.dataset && "kept" in node.dataset;
}

// Dialogs: whatever htmx puts into #dialog opens it; its own close event empties it and gives the focus back.
let opener = null;
let pressed = null;

function startDialogs() {
  document.addEventListener("htmx:beforeRequest", rememberOpener);
  document.addEventListener("htmx:afterSwap", openDialog);
  document.addEventListener("htmx:configRequest", leaveMessagesToThePage);
  document.body.addEventListener("dialog-close", finishDialog);
  dialog.addEventListener("close", emptyDialog);
  dialog.addEventListener("pointerdown", (event) => { pressed = event.target; });
  dialog.addEventListener("click", closeBesideDialog);
}

function rememberOpener({ detail }) {
  if (detail.target === dialog) opener = detail.elt.closest("details.menu")?.querySelector("summary") ?? detail.elt;
}

function openDialog({ detail }) {
  if (!dialog.contains(detail.elt) && detail.target !== dialog) return;
  prepare(dialog); // before anybody can click: a confirmation starts disabled
  // Only what was put into it opens it: a part of one that is just being closed must not open it again, empty.
  if (detail.target === dialog && !dialog.open && dialog.childElementCount) dialog.showModal();
}

function closeDialog() {
  if (dialog.open) dialog.close();
}

function finishDialog() {
  closeDialog();
  // A dialog opened as a page of its own goes to the list where its result shows.
  const link = document.querySelector("#content > .panel a[data-close]");
  if (link) location.assign(link.href);
}

function emptyDialog() {
  dialog.replaceChildren();
  if (opener?.isConnected) opener.focus();
  opener = null;
}

// A dialog may be closed while its regions are fetched, and what then rides along would be seen by nobody.
function leaveMessagesToThePage({ detail }) {
  if (detail.verb === "get" && dialog.contains(detail.elt)) detail.headers["X-Without-Messages"] = "1";
}

// A click beside the dialog closes it, but not text that was marked and let go out there.
function closeBesideDialog(event) {
  if (event.target === dialog && pressed === dialog) closeDialog();
}

// Menus: <details class="menu">, with arrows, Home, End and Escape.
function startMenus() {
  document.addEventListener("keydown", moveInMenu);
  document.addEventListener("focusout", foldMenuThatLostFocus);
}

function foldMenu(menu) {
  menu.open = false;
}

function moveInMenu(event) {
  const menu = event.target.closest?.("details.menu");
  if (!menu) return;
  if (event.key === "Escape" && menu.open) {
    event.preventDefault();
    foldMenu(menu);
    menu.querySelector("summary").focus();
    return;
  }
  const entries = [...menu.querySelectorAll(".menu-panel a, .menu-panel button")];
  const to = nextEntry(event.key, entries.indexOf(document.activeElement), entries.length);
  if (to === undefined || !entries.length) return;
  event.preventDefault();
  menu.open = true;
  entries[(to + entries.length) % entries.length].focus();
}

function nextEntry(key, at, count) {
  return { ArrowDown: at + 1, ArrowUp: at < 0 ? count - 1 : at - 1, Home: 0, End: count - 1 }[key];
}

function foldMenuThatLostFocus(event) {
  const menu = event.target.closest?.("details.menu[open]");
  if (menu && event.relatedTarget && !menu.contains(event.relatedTarget)) foldMenu(menu);
}

// Clicks: what a button or a link asks for by its attribute.
const CLICKS = {
  "[data-close]": closeDialogByButton,
  "[data-dismiss]": (button) => button.parentElement.remove(),
  "[data-copy]": copy,
  "[data-theme-toggle]": changeTheme,
};

function startClicks() {
  document.addEventListener("click", (event) => {
    const target = event.target.closest?.("button, a, summary") ?? event.target;
    foldMenusAfterClick(event.target, target);
    for (const [selector, act] of Object.entries(CLICKS)) if (target.matches?.(selector)) act(target, event);
  });
}

function foldMenusAfterClick(clicked, target) {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(clicked) || target.matches?.(".menu-panel a, .menu-panel button")) foldMenu(menu);
  }
}

function closeDialogByButton(button, event) {
  if (!dialog.contains(button)) return; // on a page of its own it is a link
  event.preventDefault();
  closeDialog();
}

async function copy(button) {
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.dataset.done = "";
    say(inWords("Copied"));
  } catch {
    say(inWords("Copying is not allowed here; select the text instead."));
  }
  setTimeout(() => delete button.dataset.done, 1500);
}

function changeTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  document.cookie = `theme=${root.dataset.theme}; path=/; max-age=31536000; SameSite=Lax`;
}

// Forms: typed confirmation, the place of a region, and no form sent twice.
function startForms() {
  document.addEventListener("input", ({ target }) => {
    const form = target.closest("form[data-confirm]");
    if (form) checkConfirmation(form);
    if (target.list) showPlace(target);
  });
  document.addEventListener("submit", sendOnce);
  addEventListener("pageshow", letFormsBeSentAgain);
}

// A form without htmx is sent once, however often its button is clicked.
function sendOnce(event) {
  const form = event.target;
  if (form.matches("[hx-post], [hx-get]") || event.defaultPrevented) return;
  if (form.dataset.sent !== undefined) event.preventDefault();
  form.dataset.sent = "";
}

// The Back button can bring back a page whose form was sent.
function letFormsBeSentAgain() {
  document.querySelectorAll("form[data-sent]").forEach((form) => delete form.dataset.sent);
}

// The voice: says to a screen reader what changed. Behind an open dialog everything is mute, so it moves into it.
function say(text) {
  const place = dialog.open ? dialog : document.body;
  if (voice.parentElement !== place) place.append(voice);
  voice.textContent = "";
  requestAnimationFrame(() => { voice.textContent = text; });
}

// What changed is announced: badges, and how many a search found.
const known = new Map();

function announce() {
  const news = [];
  for (const [key, state, text] of observed()) {
    if (known.has(key) && known.get(key) !== state) news.push(text);
    known.set(key, state);
  }
  if (news.length) say(news.join(". "));
}

function* observed() {
  for (const pane of document.querySelectorAll(".pane[id]")) {
    const badge = pane.querySelector(".badge")?.textContent;
    const name = pane.querySelector("h1, h2 a")?.textContent ?? "";
    if (badge) yield [pane.id, badge, `${name} ${badge}`.trim()];
  }
  const count = document.querySelector("#content .count, #content .empty h2")?.textContent.trim();
  if (count) yield ["count", count, count];
}

// Trouble stands where the reader looks until the same request succeeds ("*": until any is answered), and is said once.
const TROUBLES = {
  403: inWords("You may not do this. If that is a surprise, reload the page."),
  404: inWords("This is not here any more. Reload the page."),
  503: inWords("The console is busy, or its database does not answer. Try again in a moment."),
};
const UNEXPECTED = inWords("The console did not answer as expected. Try again, or reload the page.");
const UNREACHABLE = inWords("The console cannot be reached. Try again in a moment.");

function startTroubles() {
  document.addEventListener("htmx:responseError", ({ detail: { xhr, pathInfo } }) => {
    complain(TROUBLES[xhr.status] ?? UNEXPECTED, pathInfo.requestPath);
  });
  document.addEventListener("htmx:sendError", () => complain(UNREACHABLE, "*"));
  document.addEventListener("htmx:afterRequest", removeTroublesThatAreOver);
  document.addEventListener("htmx:beforeSwap", signInAgain);
}

function complain(text, path) {
  const place = dialog.open ? dialog.querySelector(".dialog-body > header") : document.getElementById("flash");
  if (!place || [...document.querySelectorAll("[data-trouble]")].some((line) => line.textContent === text)) return;
  const line = document.createElement("p");
  line.className = "flash error";
  line.dataset.trouble = path;
  line.textContent = text;
  if (dialog.open) place.after(line); else place.append(line);
  say(text);
}

function removeTroublesThatAreOver({ detail: { xhr, successful, pathInfo } }) {
  for (const line of document.querySelectorAll("[data-trouble]")) {
    const { trouble } = line.dataset;
    if (trouble === "*" ? xhr.status > 0 : successful && trouble === pathInfo.requestPath) line.remove();
  }
}

// The session has ended: the sign-in page is a page, not a part of this one.
function signInAgain({ detail }) {
  if (!new URL(detail.xhr.responseURL, location).pathname.startsWith("/login/")) return;
  detail.shouldSwap = false;
  location.reload();
}

// What a message says is brought to where the reader is, if they are further down; at the top it is in its place again.
let told = "";

function bringMessages() {
  const messages = document.getElementById("flash");
  const text = messages?.textContent.trim() ?? "";
  if (text && text !== told) messages.classList.toggle("afloat", isFurtherDown(messages));
  told = text;
}

function isFurtherDown(messages) {
  return messages.parentElement.getBoundingClientRect().top < 0;
}

function putMessagesBack() {
  const messages = document.getElementById("flash");
  if (messages?.classList.contains("afloat") && !isFurtherDown(messages)) messages.classList.remove("afloat");
}

// A page that is looked at for long renews itself, while somebody can see it and nothing is being done above it. What it
// asks for so does not count as somebody being there: it says so itself (hx-headers).
const RENEWED_EVERY = 30_000; // milliseconds
let renewedAt = Date.now();

function startRenewing() {
  setInterval(renew, 1000);
  document.addEventListener("visibilitychange", renew);
}

function renew() {
  const region = document.querySelector("[data-renewed]");
  if (!region || document.hidden || dialog.open || Date.now() - renewedAt < RENEWED_EVERY) return;
  renewedAt = Date.now();
  htmx.trigger(region, "renewal-due");
}

// The key / opens the search, unless somebody types.
function startSearch() {
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || dialog.open) return;
    if (event.target.closest?.("input, textarea, select, [contenteditable]")) return;
    const link = document.querySelector(".search-opener");
    if (link) event.preventDefault();
    link?.click();
  });
}

// What only some pages need is loaded where it is first seen.
function loadParts() {
  if (document.querySelector("[data-choice]")) import("./choice.js");
  if (document.querySelector("[data-finder]")) import("./finder.js");
  if (document.querySelector(".methods")) import("./methods.js");
}

function afterSettle({ detail }) {
  prepare(detail.target?.isConnected ? detail.target : document);
  announce();
  bringMessages();
  loadParts();
}

function start() {
  document.documentElement.dataset.scripts = "on";
  keepWhatTheReaderChanged();
  startDialogs();
  startMenus();
  startClicks();
  startForms();
  startTroubles();
  startRenewing();
  startSearch();
  prepare(document);
  setInterval(updateTimes, 30000);
  announce();
  bringMessages();
  addEventListener("scroll", putMessagesBack, { passive: true });
  loadParts();
  document.addEventListener("htmx:afterSettle", afterSettle);
}

start();
