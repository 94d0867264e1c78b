// Results that leave the page: ids to paste elsewhere, and a table for a spreadsheet.

import { count, element } from "./dom.js";
import { valueOf } from "./items.js";
import { subject } from "./subject.js";

const MOST_ROWS = 1000;
const SECONDS = 2; // that a button says what it did

const LINE = "\r\n";
const MARK = "\ufeff"; // tells Excel that the file is UTF-8

/**
 * Returns a CSV table of items, one line each: rank, id, product, the shop's columns, and for each
 * attribute the label. Where some item has no label, another column says what the picture shows.
 */
export function csvOf(items, attributes) {
  const columns = [...new Set(items.flatMap((item) => Object.keys(item.columns)))];
  const hasProducts = items.some(({ product }) => product !== null);
  const read = attributes.filter((name) => items.some((item) => valueOf(item, name).isRead));
  const header = [
    "rank",
    "id",
    ...(hasProducts ? ["product"] : []),
    ...columns,
    ...attributes,
    ...read.map((name) => `${name} (${subject.seen})`),
  ];
  const rows = items.map((item, position) => [
    position + 1,
    item.id,
    ...(hasProducts ? [item.product ?? ""] : []),
    ...columns.map((name) => item.columns[name] ?? ""),
    ...attributes.map((name) => item.attributes[name] ?? ""),
    ...read.map((name) => item.predicted[name] ?? ""),
  ]);
  return MARK + [header, ...rows].map((row) => row.map(cell).join(",") + LINE).join("");
}

/** The buttons that copy the ids of the results shown, and save all results as a table. */
export class Saving {
  /**
   * `limits` are the service's. `handlers` has load({k, offset}, signal) -> promise of a page of
   * results, and problem(text).
   */
  constructor(root, attributes, limits, handlers) {
    this.root = root;
    this.attributes = attributes.map(({ name }) => name);
    this.limits = limits;
    this.handlers = handlers;
  }

  /** Offers the results of an answer; `name` is the query's, for the name of the file. */
  show(answer, name) {
    const ids = linkButton(`Copy ${count(answer.results.length, "id")}`, () =>
      this.copyIds(answer.results, ids),
    );
    const number = Math.min(answer.total, MOST_ROWS);
    const table = linkButton(`Download ${count(number, "result")} as CSV`, () =>
      this.#saveAll(number, name, table),
    );
    this.root.replaceChildren(ids, table);
    this.root.hidden = false;
  }

  copyIds(items, button) {
    const text = items.map(({ id }) => id).join("\n");
    return this.copy(text, button, "The browser forbids it");
  }

  /** Copies a text; the button says for a moment whether that worked. */
  async copy(text, button, failure) {
    const before = button.textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = failure;
    }
    setTimeout(() => (button.textContent = before), SECONDS * 1000);
  }

  saveItems(items, name) {
    const address = URL.createObjectURL(
      new Blob([csvOf(items, this.attributes)], { type: "text/csv;charset=utf-8" }),
    );
    const download = `${name.replaceAll(/[^\w.-]+/g, "_")}.csv`;
    const link = element("a", { href: address, download });
    link.click();
    URL.revokeObjectURL(address);
  }

  async #saveAll(number, name, button) {
    const before = button.textContent;
    button.disabled = true;
    button.textContent = "Collecting…";
    try {
      const items = [];
      while (items.length < number) {
        const k = Math.min(this.limits.max_k, number - items.length);
        const { results } = await this.handlers.load({ k, offset: items.length }, null);
        items.push(...results);
        if (!results.length) break;
      }
      this.saveItems(items, `results of ${name}`);
    } catch (error) {
      this.handlers.problem(`The results could not be saved. ${error.message}`);
    }
    button.disabled = false;
    button.textContent = before;
  }
}

function linkButton(text, onclick) {
  return element("button", { type: "button", class: "link", onclick }, text);
}

// A spreadsheet takes a text that begins with one of these for a formula, so it gets a quote.
function cell(content) {
  let text = String(content);
  if (/^[=+\-@\t\r]/.test(text) && !/^[+-]?[\d.,]+$/.test(text)) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
