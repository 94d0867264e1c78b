// Lists of pictures: a page of the gallery, the results of a search, and their placeholders.

import { element, icon, spoken, tile } from "./dom.js";
import { addArrowKeys } from "./grid.js";

const FACTS = 4; // lines below a result before the rest is only counted

/** Returns a page of the gallery; `handlers` has address(change) and go(change). */
export function galleryPage({ items }, handlers) {
  const cards = items.map((item) => {
    const values = known(item.attributes).join(" · ");
    const caption = element("span", { class: "caption", "aria-hidden": "true" }, values);
    return card(item, handlers, tile(item.image, describe(item)), caption);
  });
  return grid("Gallery", cards);
}

/** Returns the links to the pages before and after. */
export function pager({ offset, total }, limit, handlers) {
  const link = (text, direction, target, exists) => {
    const drawing = icon(direction);
    const words = direction === "left" ? [drawing, text] : [text, drawing];
    if (!exists) return element("span", { class: "pager-end" }, words);
    const change = { offset: target };
    return element(
      "a",
      { href: handlers.address(change), class: "button", onclick: follow(change, handlers) },
      words,
    );
  };
  return element(
    "nav",
    { class: "pager", "aria-label": "Pages of the gallery" },
    link("Previous", "left", Math.max(offset - limit, 0), offset > 0),
    link("Next", "right", offset + limit, offset + limit < total),
  );
}

/** Returns the results of a search, matches ticked, with what was changed and what differs. */
export function resultGrid({ results, edits, target }, handlers) {
  const cards = results.map((result) => {
    const picture = tile(result.image, describe(result));
    if (result.matches) {
      picture.append(element("span", { class: "badge" }, icon("check"), "Match"));
    }
    const node = card(result, handlers, picture, facts(result, edits, target));
    if (result.matches) node.classList.add("card-match");
    return node;
  });
  return grid("Results", cards);
}

/** Returns grey tiles for pictures that are still loading. */
export function skeletonGrid(number) {
  const empty = () =>
    element("li", { class: "card" }, element("span", { class: "tile skeleton" }));
  return element(
    "ul",
    { class: "grid", "aria-hidden": "true" },
    Array.from({ length: number }, empty),
  );
}

function grid(label, cards) {
  const list = element("ul", { class: "grid", role: "list", "aria-label": label }, cards);
  if (cards.length) addArrowKeys(list);
  return list;
}

function card(item, handlers, ...content) {
  const change = { item: item.id };
  const link = element(
    "a",
    { href: handlers.address(change), draggable: "false", onclick: follow(change, handlers) },
    content,
  );
  link.dataset.item = item.id;
  return element("li", { class: "card" }, link);
}

// A plain click stays on the page; with a modifier the browser opens the link as any other.
function follow(change, handlers) {
  return (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    handlers.go(change);
  };
}

function facts(result, edits, target) {
  const has = (name) => result.attributes[name] ?? "no label";
  const changed = Object.keys(edits);
  const lines = changed.map((name) =>
    result.differing.includes(name)
      ? fact("fact-changed", "close", name, has(name), `, but you asked for ${edits[name]}`)
      : fact("fact-changed fact-met", "check", name, has(name), ", as you asked"),
  );
  for (const name of result.differing.filter((other) => !changed.includes(other))) {
    const wanted = target[name] ?? "no label";
    lines.push(fact("fact-differs", "differs", name, has(name), ` instead of ${wanted}`));
  }
  const rest = lines.splice(FACTS);
  if (rest.length) {
    const more = `and ${rest.length} more ${rest.length === 1 ? "difference" : "differences"}`;
    lines.push(element("span", { class: "fact" }, more));
  }
  const distance = element(
    "span",
    { class: "distance", title: "Euclidean distance to the edited query" },
    `distance ${result.distance.toFixed(3)}`,
  );
  return element("span", { class: "facts" }, lines, distance);
}

function fact(className, drawing, name, value, ending) {
  return element(
    "span",
    { class: `fact ${className}`, title: `${name}: ${value}${ending}` },
    icon(drawing),
    element(
      "span",
      {},
      `${name} `,
      element("span", { class: "fact-value" }, value),
      spoken(ending),
    ),
  );
}

function describe({ id, attributes }) {
  const values = known(attributes);
  return values.length ? values.join(", ") : `item ${id}`;
}

function known(attributes) {
  return Object.values(attributes).filter((value) => value !== null);
}
