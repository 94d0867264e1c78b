// The query: its picture, its attributes as chips, the changes made to them.

import { element, icon, percent } from "./dom.js";
import { closeMenu, openMenu } from "./menu.js";
import { Stage } from "./stage.js";

const NUM_SKELETONS = 6;

export class QueryPanel {
  #key = null;
  #attributes = null; // of the service's answer; null until there is one
  #values = new Map(); // attribute name to its values, in the order of the space
  #edits = new Map();
  #attention = null; // promise of attribute name to {overlay, box}
  #shown = null; // the attribute whose attention is shown, or null
  #open = null; // the attribute whose menu is open, or null

  /** `handlers` has edit(name, value or null), undoAll(), explain(), copy(button) and leave(). */
  constructor(root, attributes, handlers) {
    this.root = root;
    this.handlers = handlers;
    this.#values = new Map(attributes.map(({ name, values }) => [name, values]));
    this.stage = new Stage("stage-large");
    this.title = element("h2", { id: "query-title", tabindex: "-1" }, "Query");
    this.detail = element("p", { class: "query-detail" });
    this.copy = linkButton("Copy link", () => handlers.copy(this.copy));
    this.undoAll = linkButton("Undo all changes", () => this.#undoAll());
    this.chips = element("ul", {
      class: "chips",
      role: "list",
      "aria-label": "Attributes of the query",
    });
    this.#build();
    this.#listen();
  }

  /** Shows a query {key, source, alt, detail, isItem}; its chips follow with `fill`. */
  show(query, edits) {
    this.root.hidden = false;
    this.#edits = edits;
    const isNew = query.key !== this.#key;
    closeMenu();
    if (isNew) {
      this.#key = query.key;
      this.#attributes = null;
      this.#attention = null;
      this.#shown = null;
      this.query = query;
      this.stage.showPicture(query.source, query.alt);
      this.detail.textContent = query.detail;
      this.copy.hidden = !query.isItem || !navigator.clipboard;
    }
    this.#render();
  }

  fill(attributes) {
    this.#attributes = attributes.map((attribute) => ({
      ...attribute,
      // The unchanged value: the label of a gallery item, or the prediction.
      original: this.query.isItem ? attribute.label : attribute.value,
    }));
    this.#render();
  }

  /** Hides the placeholder chips when no answer comes. */
  giveUp() {
    if (this.#attributes === null) this.section.hidden = true;
  }

  hide() {
    closeMenu();
    this.root.hidden = true;
    this.#key = null;
  }

  #build() {
    const leave = linkButton("New search", () => this.handlers.leave());
    const point = element("span", {}, "Point at one to see where the model looked.");
    this.section = element(
      "div",
      { class: "query-chips" },
      element("div", { class: "row" }, element("h3", {}, "Attributes"), this.undoAll),
      element("p", { class: "hint" }, "Choose one to change it. ", point),
      this.chips,
    );
    const head = element("div", { class: "row" }, this.title, this.copy, leave);
    this.root.replaceChildren(
      this.stage.node,
      element("div", { class: "query-head" }, head, this.detail),
      this.section,
    );
  }

  #render() {
    const focused = document.activeElement;
    const { name } = focused?.closest(".chip")?.dataset ?? {};
    this.section.hidden = false;
    this.undoAll.hidden = this.#edits.size === 0;
    this.chips.setAttribute("aria-busy", String(this.#attributes === null));
    if (this.#attributes === null) {
      const empty = () => element("li", { class: "chip skeleton" });
      this.chips.replaceChildren(...Array.from({ length: NUM_SKELETONS }, empty));
      return;
    }
    this.chips.replaceChildren(...this.#attributes.map((attribute) => this.#chip(attribute)));
    if (name === undefined) return;
    const undo = focused.matches(".chip-undo") && this.#button(name, ".chip-undo");
    (undo || this.#button(name))?.focus({ preventScroll: true });
  }

  #chip(attribute) {
    const { name, value, probability } = attribute;
    const wanted = this.#edits.get(name);
    const edited = wanted !== undefined;
    const meter = element("span", { class: "meter", "aria-hidden": "true" });
    meter.style.setProperty("--share", probability);
    const button = element(
      "button",
      {
        type: "button",
        class: "chip-button",
        "aria-haspopup": "dialog",
        "aria-expanded": String(this.#open === name),
        onclick: () => (this.#open === name ? closeMenu(true) : this.#openMenu(attribute)),
      },
      nameLine(attribute, edited),
      edited
        ? element("strong", { class: "chip-value chip-text", title: wanted }, wanted)
        : predicted(value, probability),
      edited ? null : meter,
    );
    const undo = element(
      "button",
      {
        type: "button",
        class: "round chip-undo",
        "aria-label": `Undo the change of ${name}`,
        onclick: () => this.handlers.edit(name, null),
      },
      icon("close"),
    );
    const chip = element("li", { class: edited ? "chip chip-edited" : "chip" }, button);
    chip.dataset.name = name;
    if (edited) chip.append(undo);
    return chip;
  }

  #button(name, selector = ".chip-button") {
    const chips = [...this.chips.children];
    return chips.find((chip) => chip.dataset.name === name)?.querySelector(selector);
  }

  #openMenu(attribute) {
    const { name } = attribute;
    const now = this.#edits.get(name) ?? attribute.original;
    const probabilities = new Map(attribute.values.map((v) => [v.value, v.probability]));
    const sheet = new Stage("stage-small");
    sheet.showPicture(this.query.source, this.query.alt);
    openMenu({
      anchor: () => this.#button(name),
      panel: this.root,
      title: `Change ${name}`,
      header: sheet.node,
      options: (this.#values.get(name) ?? [...probabilities.keys()]).map((value) => ({
        label: value,
        group: null,
        detail: probabilities.has(value) ? percent(probabilities.get(value)) : null,
        selected: value === now,
        value,
      })),
      onpick: (value) => {
        this.handlers.edit(name, value === attribute.original ? null : value);
      },
      onclose: () => {
        this.#setOpen(null, null);
        this.#look(null);
      },
    });
    this.#setOpen(name, sheet);
    this.#look(name);
  }

  #setOpen(name, sheet) {
    this.#button(name ?? this.#open)?.setAttribute("aria-expanded", String(name !== null));
    this.#open = name;
    this.sheet = sheet;
  }

  #undoAll() {
    this.handlers.undoAll();
    this.chips.querySelector(".chip-button")?.focus({ preventScroll: true });
  }

  #listen() {
    const over = (event) => {
      if (!this.sheet) this.#look(event.target.closest(".chip")?.dataset.name ?? null);
    };
    const focused = (event) => {
      if (event.target.matches(":focus-visible")) over(event);
    };
    const away = () => {
      if (!this.sheet) this.#look(null);
    };
    this.chips.addEventListener("pointerover", over);
    this.chips.addEventListener("focusin", focused);
    this.chips.addEventListener("pointerleave", away);
    this.chips.addEventListener("focusout", away);
  }

  // Shows where the model looked for an attribute; loads the maps once per query.
  async #look(name) {
    if (this.sheet && name === null) return;
    this.#shown = name;
    if (name === null || this.#attributes === null) {
      this.stage.clear();
      return;
    }
    const key = this.#key;
    this.#attention ??= this.handlers.explain();
    const attention = await this.#attention;
    if (attention === null && key === this.#key) this.#attention = null; // the next look asks again
    if (key !== this.#key || name !== this.#shown) return;
    for (const stage of [this.stage, this.sheet]) {
      if (!stage) continue;
      if (attention?.has(name)) stage.showAttention(name, attention.get(name));
      else stage.say("The service cannot show where the model looked");
    }
  }
}

function linkButton(text, onclick) {
  return element("button", { type: "button", class: "link", onclick }, text);
}

function predicted(value, probability) {
  return element(
    "span",
    { class: "chip-value" },
    element("span", { class: "chip-text", title: value }, value),
    element("span", { class: "chip-probability" }, percent(probability)),
  );
}

// The name; after a change the former value, else a label that differs from the prediction.
function nameLine({ name, value, original }, edited) {
  const before = original ?? "not labelled";
  const label = element("span", { class: "chip-name" }, name);
  const line = element("span", { class: "chip-line" }, label);
  if (edited) line.append(" · was ", element("s", {}, before));
  else if (original === null) line.append(` · ${before}`);
  else if (original !== value) line.append(` · labelled ${before}`);
  line.title = line.textContent;
  return line;
}
