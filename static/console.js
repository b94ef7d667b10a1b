// The console's own behaviour, on top of htmx: dialogs, menus, copying, typed confirmation, times, theme.
// Everything works without it as full pages.
"use strict";
(() => {
  const dialog = document.getElementById("dialog");
  const said = document.getElementById("said");
  // Behind an open dialog everything is mute, so the voice moves into it.
  const say = (text) => {
    const place = dialog.open ? dialog : document.body;
    if (said.parentElement !== place) place.append(said);
    said.textContent = "";
    requestAnimationFrame(() => { said.textContent = text; });
  };
  document.documentElement.dataset.scripts = "on";

  // A refreshed region keeps what the reader unfolded, and what is under their hands.
  if (window.Idiomorph) {
    Idiomorph.defaults.ignoreActiveValue = true;
    Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) => !(name === "open" && node.localName === "details");
    // A time that stays the same keeps the reader's zone; otherwise it would flicker with every poll.
    // What scripts have made (chips, a map) is theirs.
    Idiomorph.defaults.callbacks.beforeNodeMorphed = (old, fresh) =>
      !(old.localName === "time" && old.dateTime === fresh.dateTime) && !(old.dataset && "kept" in old.dataset);
  }

  // Dialogs: whatever htmx puts into #dialog opens it; its own close event empties it and gives the focus back.
  let opener = null;
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.detail.target === dialog) opener = event.detail.elt.closest("details.menu")?.querySelector("summary") ?? event.detail.elt;
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    if (dialog.contains(event.detail.elt) || event.detail.target === dialog) {
      prepare(dialog); // before anybody can click: a confirmation starts disabled
      // Only what was put into it opens it: a part of one that is just being closed must not open it again, empty.
      if (event.detail.target === dialog && !dialog.open && dialog.childElementCount) dialog.showModal();
    }
  });
  const close = () => { if (dialog.open) dialog.close(); };
  document.body.addEventListener("dialog-close", () => {
    close();
    // A dialog opened as a page of its own goes to the list where its result shows.
    const page = document.querySelector("#content > .panel a[data-close]");
    if (page) location.assign(page.href);
  });
  dialog?.addEventListener("close", () => {
    dialog.replaceChildren();
    if (opener?.isConnected) opener.focus();
    opener = null;
  });
  // A dialog may be closed while its regions are fetched, and what then rides along would be seen by nobody.
  document.addEventListener("htmx:configRequest", (event) => {
    if (event.detail.verb === "get" && dialog?.contains(event.detail.elt)) event.detail.headers["X-Without-Messages"] = "1";
  });
  // A click beside the dialog closes it, but not text that was marked and let go out there.
  let pressed = null;
  dialog?.addEventListener("pointerdown", (event) => { pressed = event.target; });
  dialog?.addEventListener("click", (event) => { if (event.target === dialog && pressed === dialog) close(); });

  // Menus: <details class="menu">, with arrows, Home, End and Escape.
  const entries = (menu) => [...menu.querySelectorAll(".menu-panel a, .menu-panel button")];
  const fold = (menu, focus) => { menu.open = false; if (focus) menu.querySelector("summary").focus(); };
  document.addEventListener("keydown", (event) => {
    const menu = event.target.closest?.("details.menu");
    if (!menu) return;
    const all = entries(menu);
    const at = all.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at < 0 ? all.length - 1 : at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (event.key === "Escape" && menu.open) { event.preventDefault(); fold(menu, true); }
    else if (to !== undefined && all.length) {
      event.preventDefault();
      menu.open = true;
      all[(to + all.length) % all.length].focus();
    }
  });

  document.addEventListener("focusout", (event) => {
    const menu = event.target.closest?.("details.menu[open]");
    if (menu && event.relatedTarget && !menu.contains(event.relatedTarget)) fold(menu, false);
  });

  document.addEventListener("click", async (event) => {
    const target = event.target.closest?.("button, a, summary") ?? event.target;
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target) || target.matches?.(".menu-panel a, .menu-panel button")) fold(menu, false);
    }
    if (target.matches?.("[data-close]") && dialog.contains(target)) { event.preventDefault(); close(); }
    if (target.matches?.("[data-dismiss]")) target.parentElement.remove();
    if (target.matches?.("[data-copy]")) {
      try { await navigator.clipboard.writeText(target.dataset.copy); target.dataset.done = ""; say("Copied"); }
      catch { say("Copying is not allowed here; select the text instead."); }
      setTimeout(() => delete target.dataset.done, 1500);
    }
    if (target.matches?.("[data-theme-toggle]")) {
      const root = document.documentElement;
      const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
      root.dataset.theme = dark ? "light" : "dark";
      document.cookie = `theme=${root.dataset.theme}; path=/; max-age=31536000; SameSite=Lax`;
    }
  });

  // Typed confirmation: the button waits for the exact name; the server checks it again.
  const confirmable = (form) => {
    const button = form.querySelector("button[type=submit]");
    button.disabled = form.elements.name.value !== form.dataset.confirm;
  };
  // The place of the region whose code stands in the field.
  const place = (field) => {
    const where = document.querySelector(`[data-place-of="${field.id}"]`);
    if (where) where.textContent = [...(field.list?.options ?? [])].find((o) => o.value === field.value.trim().toLowerCase())?.textContent ?? "";
  };
  document.addEventListener("input", (event) => {
    const form = event.target.closest("form[data-confirm]");
    if (form) confirmable(form);
    if (event.target.list) place(event.target);
  });
  // A form without htmx is sent once, however often its button is clicked.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.matches("[hx-post], [hx-get]") || event.defaultPrevented) return;
    if (form.dataset.sent !== undefined) event.preventDefault();
    form.dataset.sent = "";
  });
  addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach((form) => delete form.dataset.sent));

  // Times in the reader's own zone.
  const steps = [[60, "second"], [60, "minute"], [24, "hour"], [7, "day"], [4.35, "week"], [12, "month"], [Infinity, "year"]];
  const words = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
  const ago = (date) => {
    let amount = (date - Date.now()) / 1000;
    for (const [size, unit] of steps) {
      if (Math.abs(amount) < size) return words.format(Math.round(amount), unit);
      amount /= size;
    }
  };
  const exact = (date) => date.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
  const tell = (time) => {
    const date = new Date(time.dateTime);
    const text = time.dataset.time === "exact" ? exact(date) : ago(date);
    if (time.textContent !== text) time.textContent = text;
    time.title = date.toLocaleString(undefined, { dateStyle: "full", timeStyle: "long" });
  };

  const prepare = (root) => {
    root.querySelectorAll("time[data-time]").forEach(tell);
    root.querySelectorAll("form[data-confirm]").forEach(confirmable);
    root.querySelectorAll("input[list]").forEach(place);
    root.querySelectorAll(".field").forEach((field) => {
      const control = field.querySelector("input, select");
      const described = [...field.querySelectorAll(".hint, .error")].map((p) => p.id).filter(Boolean);
      if (control && described.length && !control.hasAttribute("aria-describedby")) control.setAttribute("aria-describedby", described.join(" "));
    });
    const first = root.querySelector("[data-focus]");
    if (first) { // once: what refreshes itself beside it must not take the focus back
      delete first.dataset.focus;
      first.focus();
    }
  };
  prepare(document);
  setInterval(() => document.querySelectorAll("time[data-time=ago]").forEach(tell), 30000);

  // What changed is announced: badges, and how many a search found.
  const states = new Map();
  const announce = () => {
    const news = [];
    const note = (key, state, text) => {
      if (states.has(key) && states.get(key) !== state) news.push(text);
      states.set(key, state);
    };
    for (const pane of document.querySelectorAll(".pane[id]")) {
      const badge = pane.querySelector(".badge")?.textContent;
      const name = pane.querySelector("h2 a")?.textContent ?? "";
      if (badge) note(pane.id, badge, `${name} ${badge}`.trim());
    }
    const count = document.querySelector("#content .count, #content .empty h2")?.textContent.trim();
    if (count) note("count", count, count);
    if (news.length) say(news.join(". "));
  };
  announce();
  document.addEventListener("htmx:afterSettle", (event) => { prepare(event.detail.target?.isConnected ? event.detail.target : document); announce(); });

  // Trouble stands where the reader looks until the same request succeeds ("*": until any is answered), and is said once.
  const complain = (text, path) => {
    const place = dialog.open ? dialog.querySelector(".dialog-body > header") : document.getElementById("flash");
    if (!place || [...document.querySelectorAll("[data-trouble]")].some((line) => line.textContent === text)) return;
    const line = document.createElement("p");
    line.className = "flash error";
    line.dataset.trouble = path;
    line.textContent = text;
    if (dialog.open) place.after(line); else place.append(line);
    say(text);
  };
  const troubles = {
    403: "You may not do this. If that is a surprise, reload the page.",
    404: "This is not here any more. Reload the page.",
  };
  document.addEventListener("htmx:responseError", (event) => complain(
    troubles[event.detail.xhr.status] ?? "The console did not answer as expected. Try again, or reload the page.",
    event.detail.pathInfo.requestPath,
  ));
  document.addEventListener("htmx:sendError", () => complain("The console cannot be reached. Try again in a moment.", "*"));
  document.addEventListener("htmx:afterRequest", (event) => {
    const { xhr, successful, pathInfo } = event.detail;
    for (const line of document.querySelectorAll("[data-trouble]")) {
      const over = line.dataset.trouble === "*" ? xhr.status > 0 : successful && line.dataset.trouble === pathInfo.requestPath;
      if (over) line.remove();
    }
  });
  // The session has ended: the sign-in page is a page, not a part of this one.
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (!new URL(event.detail.xhr.responseURL, location).pathname.startsWith("/login/")) return;
    event.detail.shouldSwap = false;
    location.reload();
  });
})();
