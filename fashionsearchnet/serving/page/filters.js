// The filters: a panel to browse or search the values, and a pill for each filter that is set.

import { element, icon } from "./dom.js";

const FEW = 400; // values from which the panel shows one attribute at a time

export class Filters {
  #filters = [];
  #shown; // the name of the attribute whose values are shown
  #boxes = []; // {name, value, words, row, input, number} of all values

  /**
   * `handlers` has change(array of [attribute, value]) and counts() -> promise of Map of attribute
   * to Map of value to number of items, or null.
   */
  constructor(root, pills, attributes, handlers) {
    this.attributes = attributes;
    this.pills = pills;
    this.handlers = handlers;
    this.#shown = attributes[0].name;
    this.button = element(
      "button",
      {
        type: "button",
        class: "button",
        "aria-haspopup": "dialog",
        "aria-expanded": "false",
        "aria-keyshortcuts": "/",
        onclick: () => (this.panel.hidden ? this.open() : this.#close(true)),
      },
      icon("filter"),
      element("span", {}, "Filters"),
    );
    this.panel = this.#build();
    this.shade = element("div", { class: "shade", hidden: true, onclick: () => this.#close(true) });
    root.append(this.button, this.shade, this.panel);
    root.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || this.panel.hidden) return;
      event.stopPropagation();
      this.#close(true);
    });
    document.addEventListener("pointerdown", (event) => {
      if (!root.contains(event.target)) this.#close(false);
    });
  }

  show(filters) {
    this.#filters = filters;
    const number = filters.length ? `Filters (${filters.length})` : "Filters";
    this.button.querySelector("span").textContent = number;
    const focused = [...this.pills.querySelectorAll("button")].indexOf(document.activeElement);
    this.pills.replaceChildren(...filters.map((pair) => this.#pill(pair)));
    if (filters.length > 1) this.pills.append(element("li", {}, this.#clearButton()));
    if (focused >= 0) (this.pills.querySelector("button") ?? this.button).focus();
    if (!this.panel.hidden) this.#fill();
  }

  open() {
    this.panel.hidden = false;
    this.shade.hidden = false;
    this.button.setAttribute("aria-expanded", "true");
    this.search.value = "";
    this.#fill();
    this.#narrow();
    this.search.focus({ preventScroll: true });
  }

  #close(refocus) {
    if (this.panel.hidden) return;
    this.panel.hidden = true;
    this.shade.hidden = true;
    this.button.setAttribute("aria-expanded", "false");
    if (refocus) this.button.focus({ preventScroll: true });
  }

  #build() {
    this.search = element("input", {
      type: "search",
      class: "field",
      placeholder: "Search all values",
      autocomplete: "off",
      spellcheck: "false",
      "aria-label": "Search all values",
      oninput: () => this.#narrow(),
    });
    const groups = this.attributes.map((attribute) => this.#group(attribute));
    this.tabs = this.attributes.map(({ name }) =>
      element(
        "button",
        { type: "button", class: "filter-tab", onclick: () => this.#choose(name) },
        name,
      ),
    );
    this.empty = element("p", { class: "options-empty", hidden: true }, "No such value.");
    return element(
      "div",
      { class: "filter-panel", role: "dialog", "aria-label": "Filters", hidden: true },
      element(
        "div",
        { class: "filter-head" },
        this.search,
        element(
          "button",
          { type: "button", class: "button", onclick: () => this.#close(true) },
          "Done",
        ),
      ),
      element("div", { class: "filter-tabs", role: "group", "aria-label": "Attributes" }, this.tabs),
      element("div", { class: "filter-values" }, groups, this.empty),
    );
  }

  #group({ name, values }) {
    const rows = values.map((value) => {
      const input = element("input", {
        type: "checkbox",
        onchange: () => this.#toggle([name, value]),
      });
      const number = element("span", { class: "filter-number" });
      const row = element(
        "label",
        { class: "filter-value" },
        input,
        element("span", { class: "filter-label" }, value),
        number,
      );
      const words = `${name} ${value}`.toLowerCase();
      this.#boxes.push({ name, value, words, row, input, number });
      return row;
    });
    const group = element(
      "fieldset",
      { class: "filter-group" },
      element("legend", {}, name),
      element("div", { class: "filter-rows" }, rows),
    );
    group.dataset.name = name;
    return group;
  }

  #choose(name) {
    this.#shown = name;
    this.search.value = "";
    this.#narrow();
  }

  // Shows the values of one attribute, or of all those that contain every word of the search.
  #narrow() {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let number = 0;
    for (const box of this.#boxes) {
      const isFound = words.length
        ? number < FEW && words.every((word) => box.words.includes(word))
        : box.name === this.#shown;
      box.row.hidden = !isFound;
      number += isFound;
    }
    for (const group of this.panel.querySelectorAll(".filter-group")) {
      group.hidden = !group.querySelector(".filter-value:not([hidden])");
    }
    this.tabs.forEach((tab, position) => {
      const isShown = !words.length && this.attributes[position].name === this.#shown;
      tab.setAttribute("aria-pressed", String(isShown));
    });
    this.empty.hidden = number > 0;
  }

  async #fill() {
    for (const { name, value, input } of this.#boxes) {
      input.checked = this.#position([name, value]) >= 0;
    }
    this.tabs.forEach((tab, position) => {
      const { name } = this.attributes[position];
      const number = this.#filters.filter((pair) => pair[0] === name).length;
      tab.textContent = number ? `${name} (${number})` : name;
    });
    const filters = this.#filters;
    const counts = await this.handlers.counts();
    if (filters !== this.#filters || counts === null) return;
    for (const { name, value, row, number } of this.#boxes) {
      const items = counts.get(name).get(value);
      number.textContent = items.toLocaleString("en");
      row.classList.toggle("filter-none", items === 0);
    }
  }

  #position([name, value]) {
    return this.#filters.findIndex((pair) => pair[0] === name && pair[1] === value);
  }

  #toggle(pair) {
    const position = this.#position(pair);
    this.handlers.change(
      position < 0 ? [...this.#filters, pair] : this.#filters.toSpliced(position, 1),
    );
  }

  #pill(pair) {
    const [name, value] = pair;
    return element(
      "li",
      {},
      element(
        "button",
        {
          type: "button",
          class: "pill",
          "aria-label": `Remove the filter ${name}: ${value}`,
          onclick: () => this.#toggle(pair),
        },
        element("span", { class: "pill-name" }, name),
        element("span", {}, value),
        icon("close"),
      ),
    );
  }

  #clearButton() {
    return element(
      "button",
      { type: "button", class: "link", onclick: () => this.handlers.change([]) },
      "Clear all",
    );
  }
}
