// The shortlist: a tray at the foot of the page, and its items side by side.

import { count, element, icon, tile } from "./dom.js";
import { describe, isLink, valueOf } from "./items.js";
import { subject } from "./subject.js";

const THUMBNAILS = 4;

export class Shortlist {
  #ids = [];
  #items = [];
  #known = new Map(); // of this visit, by id

  /**
   * `handlers` has load(ids) -> promise of items, set(ids), search(item), copy(items, button) and
   * save(items).
   */
  constructor(tray, dialog, attributes, handlers) {
    this.tray = tray;
    this.dialog = dialog;
    this.attributes = attributes.map(({ name }) => name);
    this.handlers = handlers;
  }

  /** Shows the items of these ids; ids of items that are gone stay out of sight. */
  async show(ids) {
    if (ids.join("\n") === this.#ids.join("\n")) return;
    this.#ids = ids;
    if (ids.some((id) => !this.#known.has(id))) {
      this.learn(await this.handlers.load(ids));
      if (ids !== this.#ids) return;
    }
    this.#items = ids.map((id) => this.#known.get(id)).filter(Boolean);
    this.#render();
  }

  /** Remembers items of an answer, so that `show` need not ask for them. */
  learn(items) {
    for (const item of items) this.#known.set(item.id, item);
  }

  #render() {
    this.tray.hidden = this.#items.length === 0;
    document.body.classList.toggle("has-tray", !this.tray.hidden);
    if (this.tray.hidden) this.dialog.close();
    const shown = subject.hasPictures ? this.#items.slice(-THUMBNAILS) : [];
    const pictures = shown.map((item) => tile(item.image, ""));
    this.tray.replaceChildren(
      element("span", { class: "tray-pictures", "aria-hidden": "true" }, pictures),
      element("p", { class: "tray-words" }, `${count(this.#items.length, "item")} on the shortlist`),
      button("Compare", "button", () => this.#compare()),
      button("Clear", "link", () => this.handlers.set([])),
    );
    if (this.dialog.open) this.#fill();
  }

  #compare() {
    this.#fill();
    this.dialog.showModal();
  }

  #fill() {
    const items = this.#items;
    const copy = button("Copy ids", "link", () => this.handlers.copy(items, copy));
    const scrolled = this.dialog.querySelector(".compare-scroll")?.scrollLeft ?? 0;
    const scroll = element("div", { class: "compare-scroll", tabindex: "0" }, this.#table());
    this.dialog.replaceChildren(
      element(
        "div",
        { class: "compare-head" },
        element("h2", { id: "compare-title" }, "Shortlist, side by side"),
        copy,
        button("Download CSV", "link", () => this.handlers.save(items)),
        element(
          "button",
          {
            type: "button",
            class: "round",
            "aria-label": "Close",
            onclick: () => this.dialog.close(),
          },
          icon("close"),
        ),
      ),
      scroll,
    );
    scroll.scrollLeft = scrolled;
  }

  #table() {
    const columns = [...new Set(this.#items.flatMap((item) => Object.keys(item.columns)))];
    const rows = [
      ...columns.map((name) => this.#row(name, (item) => textOrLink(item.columns[name] ?? ""))),
      ...this.attributes.map((name) => this.#row(name, (item) => shownValue(item, name))),
    ];
    const heads = this.#items.map((item) => this.#head(item));
    const corner = element("td", {}, element("span", { class: "spoken" }, "Item"));
    return element(
      "table",
      { class: "compare" },
      element("thead", {}, element("tr", {}, corner, heads)),
      element("tbody", {}, rows),
    );
  }

  #head(item) {
    const others = this.#ids.filter((id) => id !== item.id);
    const search = button("Search with this", "link", () => {
      this.dialog.close();
      this.handlers.search(item);
    });
    return element(
      "th",
      { scope: "col" },
      subject.hasPictures ? tile(item.image, describe(item), false) : null,
      element("span", { class: "compare-id" }, item.id),
      search,
      button("Remove", "link", () => this.handlers.set(others), `Remove ${describe(item)}`),
    );
  }

  // A row in which the items differ stands out.
  #row(name, cellOf) {
    const cells = this.#items.map(cellOf);
    const texts = new Set(cells.map(({ text }) => text));
    const differs = texts.size > 1 && ![...texts].some(isLink);
    return element(
      "tr",
      { class: differs ? "compare-differs" : null },
      element("th", { scope: "row" }, name),
      cells.map(({ node }) => element("td", {}, node)),
    );
  }
}

function shownValue(item, name) {
  const { value, isRead } = valueOf(item, name);
  const text = value ?? "–";
  const mark = isRead ? element("span", { title: capital(subject.seen) }, icon("read")) : null;
  return { text, node: element("span", { class: "compare-value" }, text, mark) };
}

function capital(text) {
  return text[0].toUpperCase() + text.slice(1);
}

function textOrLink(text) {
  if (!isLink(text)) return { text, node: text || "–" };
  const properties = { href: text, target: "_blank", rel: "noopener noreferrer", class: "shop-link" };
  return { text, node: element("a", properties, "Open in shop", icon("outside")) };
}

function button(text, className, onclick, label = null) {
  return element("button", { type: "button", class: className, "aria-label": label, onclick }, text);
}
