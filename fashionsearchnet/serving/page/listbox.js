// A list of options: keys move through it while another element keeps the focus.

import { element, icon } from "./dom.js";

const PAGE = 8; // options that Page Up and Page Down skip
let lists = 0;

/**
 * Options are {label, group, detail, selected, value}; those of one group follow each other.
 * `owner` is the element with the focus: an input, or the list itself.
 */
export class Listbox {
  #active = null;
  #options = [];

  constructor({ label, multiple, onpick }) {
    this.id = `list-${(lists += 1)}`;
    this.onpick = onpick;
    this.node = element("div", {
      id: this.id,
      role: "listbox",
      class: "options",
      "aria-label": label,
      "aria-multiselectable": multiple ? "true" : null,
      onmousedown: (event) => event.preventDefault(), // the owner keeps the focus
      onclick: (event) => this.#pick(event.target.closest("[role=option]")),
    });
    this.owner = this.node;
  }

  /** Replaces the options; `keep` stays with the active one's place in the list. */
  setOptions(options, keep = false) {
    const before = keep ? this.#active?.id : null;
    const groups = new Map();
    this.#options = options.map((option, number) => {
      const node = this.#optionNode(option, number);
      if (!groups.has(option.group)) groups.set(option.group, []);
      groups.get(option.group).push(node);
      const words = `${option.group ?? ""} ${option.label}`.toLowerCase();
      return { ...option, node, words };
    });
    this.empty = element("p", { class: "options-empty", hidden: true }, "No such value.");
    const nodes = [...groups].map(([group, members], number) =>
      group === null ? members : [this.#groupNode(group, members, number)],
    );
    this.node.replaceChildren(...nodes.flat(), this.empty);
    this.#activate(this.#options.find(({ node }) => node.id === before)?.node ?? null);
  }

  /** Writes details, a Map by value, behind the options. */
  setDetails(details) {
    for (const { node, value } of this.#options) {
      const text = details?.get(value);
      if (text) node.append(element("span", { class: "option-detail" }, text));
    }
  }

  /** Shows only the options that contain every word of the text. */
  filter(text) {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    for (const option of this.#options) {
      option.node.hidden = !words.every((word) => option.words.includes(word));
    }
    for (const group of this.node.querySelectorAll("[role=group]")) {
      group.hidden = !group.querySelector("[role=option]:not([hidden])");
    }
    const visible = this.#visible();
    this.empty.hidden = visible.length > 0;
    if (words.length) this.#activate(visible[0] ?? null);
  }

  activateSelected() {
    const visible = this.#visible();
    const selected = visible.find((node) => node.getAttribute("aria-selected") === "true");
    this.#activate(selected ?? visible[0] ?? null);
  }

  /** Returns whether the list used the key. */
  handleKey(event) {
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: PAGE, PageUp: -PAGE };
    if (event.ctrlKey || event.altKey || event.metaKey) return false;
    if (event.key in moves) this.#move(moves[event.key]);
    else if (event.key === "Enter" && this.#active) this.#pick(this.#active);
    else if (this.owner !== this.node) return false;
    else if (event.key === " " && this.#active) this.#pick(this.#active);
    else if (event.key === "Home") this.#activate(this.#visible()[0]);
    else if (event.key === "End") this.#activate(this.#visible().at(-1));
    else if (event.key.length === 1) this.#startingWith(event.key.toLowerCase());
    else return false;
    event.preventDefault();
    return true;
  }

  #optionNode({ label, detail, selected }, number) {
    return element(
      "div",
      {
        id: `${this.id}-${number}`,
        role: "option",
        class: "option",
        "aria-selected": String(selected),
      },
      icon("check"),
      element("span", { class: "option-label" }, label),
      detail ? element("span", { class: "option-detail" }, detail) : null,
    );
  }

  #groupNode(group, members, number) {
    const id = `${this.id}-group-${number}`;
    return element(
      "div",
      { role: "group", "aria-labelledby": id },
      element("div", { id, role: "presentation", class: "options-group" }, group),
      members,
    );
  }

  #visible() {
    return this.#options.map((option) => option.node).filter((node) => !node.hidden);
  }

  #move(step) {
    const visible = this.#visible();
    if (!visible.length) return;
    const now = visible.indexOf(this.#active);
    if (now < 0) this.#activate(step > 0 ? visible[0] : visible.at(-1));
    else this.#activate(visible[Math.min(Math.max(now + step, 0), visible.length - 1)]);
  }

  // The next option, after the active one and round the end, that starts with a letter.
  #startingWith(letter) {
    const visible = this.#visible();
    const from = visible.indexOf(this.#active) + 1;
    const order = [...visible.slice(from), ...visible.slice(0, from)];
    const labels = (node) => node.querySelector(".option-label").textContent.toLowerCase();
    this.#activate(order.find((node) => labels(node).startsWith(letter)) ?? this.#active);
  }

  #activate(node) {
    this.#active?.classList.remove("option-active");
    this.#active = node;
    if (node) {
      node.classList.add("option-active");
      node.scrollIntoView({ block: "nearest" });
      this.owner.setAttribute("aria-activedescendant", node.id);
    } else {
      this.owner.removeAttribute("aria-activedescendant");
    }
  }

  #pick(node) {
    const option = this.#options.find((candidate) => candidate.node === node);
    if (option) this.onpick(option.value);
  }
}
