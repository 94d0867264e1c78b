// Lists of pictures, or of items without any: a page of the gallery, the results of a search, and
// their placeholders.

import { element, icon, tile } from "./dom.js";
import { factLines } from "./facts.js";
import { addArrowKeys } from "./grid.js";
import { describe, presentation } from "./items.js";
import { subject } from "./subject.js";

/**
 * Returns items of the gallery; `facts` are the arrays of facts.js, one for each item, where there
 * are no pictures. `handlers` has address(change), go(change), isKept(id) and keep(item).
 */
export function galleryGrid(items, facts, handlers) {
  const cards = items.map((item, number) => {
    if (!subject.hasPictures) return card(item, handlers, idOf(item), factLines(facts[number]));
    const values = Object.values(item.attributes).filter((value) => value !== null);
    const { title } = presentation(item);
    const caption = title === null ? values.join(" · ") || item.id : null;
    const line = caption && element("span", { class: "caption", "aria-hidden": "true" }, caption);
    return card(item, handlers, tile(item.image, altOf(item)), line);
  });
  return grid("Gallery", cards);
}

/** Returns the results of a search; `facts` are the arrays of facts.js, one for each result. */
export function resultGrid(results, facts, handlers) {
  const cards = results.map((result, rank) => {
    const picture = subject.hasPictures ? tile(result.image, altOf(result)) : idOf(result);
    if (result.matches) {
      picture.append(element("span", { class: "badge" }, icon("check"), "Match"));
    }
    const node = card(result, handlers, picture, factLines(facts[rank]));
    if (result.matches) node.classList.add("card-match");
    return node;
  });
  return grid("Results", cards);
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
    { class: "pager", "aria-label": "Pages" },
    link("Previous", "left", Math.max(offset - limit, 0), offset > 0),
    link("Next", "right", offset + limit, offset + limit < total),
  );
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

function card(item, handlers, picture, lines) {
  const { title, subtitle, link } = presentation(item);
  const change = { item: item.id, labels: item.attributes };
  const main = element(
    "a",
    { href: handlers.address(change), draggable: "false", onclick: follow(change, handlers) },
    picture,
    element(
      "span",
      { class: "card-words" },
      title === null ? null : element("span", { class: "card-title" }, title),
      subtitle === null ? null : element("span", { class: "card-subtitle" }, subtitle),
    ),
    lines ?? element("span", {}),
  );
  main.dataset.item = item.id;
  return element("li", { class: "card" }, main, keepButton(item, handlers), shopLink(link, item));
}

// What stands on top of a card without a picture.
function idOf({ id }) {
  return element("span", { class: "card-id" }, id);
}

// A title stands below the picture, so a screen reader need not say it twice.
function altOf(item) {
  return presentation(item).title === null ? describe(item) : "";
}

function keepButton(item, handlers) {
  const isKept = handlers.isKept(item.id);
  return element(
    "button",
    {
      type: "button",
      class: "round keep",
      "aria-pressed": String(isKept),
      "aria-label": `Shortlist ${describe(item)}`,
      title: isKept ? "Take off the shortlist" : "Put on the shortlist",
      onclick: () => handlers.keep(item.id),
    },
    icon("star"),
  );
}

function shopLink(link, item) {
  if (link === null) return null;
  return element(
    "a",
    {
      class: "shop-link",
      href: link,
      target: "_blank",
      rel: "noopener noreferrer",
      "aria-label": `Open ${describe(item)} in the shop`,
    },
    "Open in shop",
    icon("outside"),
  );
}

// A plain click stays on the page; with a modifier the browser opens the link as any other.
function follow(change, handlers) {
  return (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    handlers.go(change);
  };
}
