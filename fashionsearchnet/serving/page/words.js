// The page's texts for a state and for the service's answers.

import { count } from "./dom.js";

/** Returns the title of the document; `photo` is the name of an uploaded file, or null. */
export function documentTitle({ item, edits }, photo) {
  return [item ?? photo, ...pairs(edits), "FashionSearchNet"].filter(Boolean).join(" · ");
}

export function aboutService({ num_items: items, model }) {
  return `${count(items, "item")} · ${[model.system, model.variant].filter(Boolean).join(" / ")}`;
}

export function galleryRange({ items, total, offset }) {
  if (!items.length) return "No items";
  const [first, last] = [offset + 1, offset + items.length].map((n) => n.toLocaleString("en"));
  return `${first}–${last} of ${count(total, "item")}`;
}

/** Returns the results in three phrases: how many, how many of them match, how long it took. */
export function resultSummary({ results, k, took_ms: took }, hasFilters) {
  if (!results.length) return ["No results", "", ""];
  const items = count(results.length, "item");
  const matches = results.filter((result) => result.matches).length;
  const matching = { 0: "none matches", 1: "1 matches" }[matches] ?? `${matches} match`;
  const all = hasFilters && results.length < k;
  return [
    all ? `All ${items} that pass the filters, ` : `${items}, `,
    matching,
    ` · ${Math.ceil(took.total)} ms`,
  ];
}

/** Returns why an address with changes but without a query shows the gallery. */
export function waitingEdits(edits) {
  return (
    `This address changes a photo (${pairs(edits).join(", ")}), but it does not hold the photo. ` +
    "Choose or upload a picture to apply the change."
  );
}

/** Returns filters as a condition: values of one attribute are alternatives. */
export function condition(filters) {
  const names = [...new Set(filters.map(([name]) => name))];
  return names
    .map((name) => {
      const values = filters.filter((pair) => pair[0] === name).map((pair) => pair[1]);
      return `${name} is ${values.join(" or ")}`;
    })
    .join(" and ");
}

function pairs(edits) {
  return [...edits].map(([name, value]) => `${name}: ${value}`);
}
