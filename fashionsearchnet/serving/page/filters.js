// The field that filters the gallery, and a pill for each filter that is set.

import { element, icon } from "./dom.js";
import { Listbox } from "./listbox.js";

export class Filters {
  #filters = [];

  /** `onchange` gets the new array of [attribute, value]. */
  constructor(root, pills, attributes, onchange) {
    this.attributes = attributes;
    this.pills = pills;
    this.onchange = onchange;
    this.listbox = new Listbox({
      label: "Filters",
      multiple: true,
      onpick: (pair) => this.#toggle(pair),
    });
    this.input = this.#field();
    this.listbox.owner = this.input;
    this.listbox.node.hidden = true;
    root.append(this.input, element("kbd", { "aria-hidden": "true" }, "/"), this.listbox.node);
    document.addEventListener("pointerdown", (event) => {
      if (!root.contains(event.target)) this.#close();
    });
  }

  show(filters) {
    this.#filters = filters;
    const focused = [...this.pills.querySelectorAll("button")].indexOf(document.activeElement);
    this.pills.replaceChildren(...filters.map((pair) => this.#pill(pair)));
    if (filters.length > 1) this.pills.append(element("li", {}, this.#clearButton()));
    if (focused >= 0) (this.pills.querySelector("button") ?? this.input).focus();
    if (!this.listbox.node.hidden) this.#fill(true);
  }

  focus() {
    this.input.focus();
    this.input.select();
  }

  #field() {
    return element("input", {
      type: "text",
      class: "field",
      role: "combobox",
      placeholder: "Filter by any value",
      autocomplete: "off",
      spellcheck: "false",
      "aria-label": "Filter by any value",
      "aria-autocomplete": "list",
      "aria-controls": this.listbox.id,
      "aria-expanded": "false",
      oninput: () => {
        this.#open();
        this.listbox.filter(this.input.value);
      },
      onclick: () => this.#open(),
      onblur: () => this.#close(),
      onkeydown: (event) => this.#handleKey(event),
    });
  }

  #handleKey(event) {
    if (event.key === "Escape" || event.key === "Tab") {
      if (event.key === "Escape" && !this.listbox.node.hidden) event.stopPropagation();
      this.#close();
      return;
    }
    if (["ArrowDown", "ArrowUp"].includes(event.key)) this.#open();
    if (!this.listbox.node.hidden) this.listbox.handleKey(event);
  }

  #open() {
    if (!this.listbox.node.hidden) return;
    this.#fill(false);
    this.listbox.node.hidden = false;
    this.input.setAttribute("aria-expanded", "true");
  }

  #close() {
    this.listbox.node.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }

  #fill(keep) {
    const options = this.attributes.flatMap(({ name, values }) =>
      values.map((value) => ({
        label: value,
        group: name,
        detail: null,
        selected: this.#position([name, value]) >= 0,
        value: [name, value],
      })),
    );
    const scrolled = this.listbox.node.scrollTop;
    this.listbox.setOptions(options, keep);
    this.listbox.node.scrollTop = scrolled;
    this.listbox.filter(this.input.value);
  }

  #position([name, value]) {
    return this.#filters.findIndex((pair) => pair[0] === name && pair[1] === value);
  }

  #toggle(pair) {
    this.input.value = "";
    const position = this.#position(pair);
    this.onchange(
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
      { type: "button", class: "link", onclick: () => this.onchange([]) },
      "Clear all",
    );
  }
}
