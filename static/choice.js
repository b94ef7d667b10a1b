// Choosing from many, by list and by map: chips, search, and the Show map switch.
// The form's own controls are the one truth; everything here reads them, or changes them as a hand would.
"use strict";
(() => {
  const fieldOf = (element) => element.closest?.("[data-choice]");
  const optionsOf = (field) => [...field.querySelectorAll("[data-option]")];
  const typed = (field) => field.querySelector("input[list]"); // a region that is typed: one of the list's options
  const valueOf = (field) => typed(field).value.trim().toLowerCase();
  const changed = (control) => {
    control.dispatchEvent(new Event("input", { bubbles: true }));
    control.dispatchEvent(new Event("change", { bubbles: true }));
  };

  // The options by value, found once: a map of a thousand pins asks for each with every click.
  const found = new WeakMap();
  const optionOf = (field, id) => {
    if (!found.has(field)) found.set(field, new Map(optionsOf(field).map((option) => [option.value, option])));
    return found.get(field).get(id);
  };

  // What the map asks of the field.
  const apiOf = (field) => {
    const find = (id) => optionOf(field, id);
    if (typed(field)) {
      return {
        noun: field.dataset.noun,
        single: true,
        label: (id) => `${id}, ${find(id)?.textContent ?? ""}`,
        state: (id) => (!find(id) ? "unusable" : valueOf(field) === id ? "chosen" : "available"),
        toggle: (id) => { typed(field).value = id; changed(typed(field)); },
      };
    }
    return {
      noun: field.dataset.noun,
      single: false,
      fixed: optionsOf(field).every((option) => option.checked === undefined), // a map to look at
      label: (id) => find(id)?.dataset.label ?? id,
      state: (id) => {
        const option = find(id);
        const attached = option?.hasAttribute("data-attached");
        if (!option || option.disabled) return "unusable";
        if (option.checked ?? true) return attached ? "attached" : "chosen";
        return attached ? "leaving" : "available";
      },
      toggle: (id) => {
        const option = find(id);
        if (!option || option.disabled) return;
        option.checked = !option.checked;
        changed(option);
      },
    };
  };

  // Maps: made when the switch is turned, made anew when their address has changed.
  const maps = new WeakMap();
  const live = new Map(); // the same, to end those whose place has left the page
  const sweep = () => {
    for (const [host, controller] of live) if (!host.isConnected) { controller.destroy(); live.delete(host); }
  };
  const showMap = async (field, on) => {
    const host = field.querySelector("[data-map-host]");
    const address = field.dataset.mapSrc;
    host.hidden = !on;
    field.toggleAttribute("data-with-map", on);
    const map = maps.get(host);
    if (!on || map?.address === address) { map?.controller?.refresh(); return; }
    const mine = { address, controller: null };
    maps.set(host, mine);
    map?.controller?.destroy();
    host.dataset.mapSrc = address;
    host.setAttribute("aria-busy", "true");
    try {
      const { mount } = await import(field.dataset.mapMount);
      const controller = await mount(host, apiOf(field));
      if (maps.get(host) !== mine) return;
      if (!controller) { maps.delete(host); return; }
      mine.controller = controller;
      live.set(host, controller);
      lines(field);
    } catch (error) {
      maps.delete(host);
      host.textContent = "The map could not be loaded. The list beside it does the same; turn the switch to try again.";
      console.warn(error.message);
    } finally { host.removeAttribute("aria-busy"); }
  };
  const lines = (field) => {
    const pairs = [...(field.closest("form, section")?.querySelectorAll("[data-node]") ?? [])];
    maps.get(field.querySelector("[data-map-host]"))?.controller?.lines(
      pairs.map((row) => ({ node: row.dataset.node, id: row.dataset.store, near: "near" in row.dataset })),
    );
  };

  // Chips: what is chosen, each with a button that takes it out.
  const element = (name, text, attributes = {}) => {
    const made = Object.assign(document.createElement(name), { textContent: text });
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const chips = (field) => {
    const place = field.querySelector("[data-chips]");
    if (!place) return;
    const chosen = optionsOf(field).filter((option) => option.checked);
    place.replaceChildren(...chosen.map((option) => {
      const chip = element("li", "", { class: "chip" });
      const take = element("button", "×", { type: "button", class: "chip-out", "data-out": option.value, "aria-label": `Take out ${option.dataset.name}` });
      chip.append(element("strong", option.dataset.name), ` ${option.dataset.code} `, take);
      return chip;
    }));
    place.hidden = !chosen.length;
    field.querySelector("[data-clear]").disabled = !chosen.length;
  };

  const search = (field) => {
    const words = field.querySelector("[data-search]").value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of field.querySelectorAll("[data-list] > li")) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      if (!row.hidden) count += 1;
    }
    field.querySelector("[data-found]").textContent = words.length ? `${count} found` : "";
  };
  const shown = (field) => optionsOf(field).filter((option) => !option.disabled && !option.closest("li")?.hidden);

  const refresh = (field) => {
    chips(field);
    const map = field.querySelector("[data-map-host]");
    maps.get(map)?.controller?.refresh();
  };

  document.addEventListener("change", (event) => {
    const field = fieldOf(event.target);
    if (!field) return;
    if (event.target.matches("[data-show-map]")) showMap(field, event.target.checked);
    else if (event.target.matches("[data-option], input[list]")) refresh(field);
  });
  document.addEventListener("input", (event) => {
    if (event.target.matches("[data-search]")) search(fieldOf(event.target));
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-out], [data-clear], [data-reset]");
    if (!button) return;
    if (button.matches("[data-reset]")) {
      event.preventDefault();
      for (const field of button.form?.querySelectorAll("[data-choice]") ?? button.closest("form").querySelectorAll("[data-choice]")) {
        for (const option of optionsOf(field)) option.checked = option.hasAttribute("data-attached");
        settle(field);
      }
      return;
    }
    const field = fieldOf(button);
    if (button.matches("[data-clear]")) {
      for (const option of optionsOf(field)) option.checked = false;
      settle(field);
      field.querySelector("[data-search]").focus();
      return;
    }
    const at = [...field.querySelectorAll("[data-out]")].indexOf(button);
    const option = optionsOf(field).find((one) => one.value === button.dataset.out);
    option.checked = false;
    changed(option);
    // The focus goes where the hand was: to the next chip, or back to the search.
    const rest = field.querySelectorAll("[data-out]");
    (rest[Math.min(at, rest.length - 1)] ?? field.querySelector("[data-search]")).focus();
  });
  const settle = (field) => {
    const [first] = optionsOf(field);
    if (first) changed(first);
    refresh(field);
  };
  document.addEventListener("keydown", (event) => {
    const field = fieldOf(event.target);
    if (!field || !event.target.matches("[data-search], [data-option]")) return;
    const rows = shown(field);
    const searching = event.target.matches("[data-search]");
    if (event.key === "Enter") {
      event.preventDefault(); // it would send the form
      if (searching && event.target.value && rows.length) { rows[0].checked = !rows[0].checked; changed(rows[0]); }
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const at = rows.indexOf(event.target) + (event.key === "ArrowDown" ? 1 : -1);
      if (!searching || event.key === "ArrowDown") event.preventDefault();
      if (at < 0) field.querySelector("[data-search]").focus();
      else rows[Math.min(at, rows.length - 1)]?.focus();
    }
  });

  const prepare = () => {
    for (const field of document.querySelectorAll("[data-choice]")) {
      found.delete(field);
      chips(field);
      const kept = field.querySelector("[data-search]");
      if (kept?.value) search(field);
      const on = field.querySelector("[data-show-map]")?.checked;
      if (on) showMap(field, true).then(() => lines(field));
    }
  };
  prepare();
  document.addEventListener("htmx:afterSettle", () => { sweep(); prepare(); });
  document.getElementById("dialog")?.addEventListener("close", () => setTimeout(sweep));
})();
