// Notices in place of pictures: errors with the next steps, and the reason for an empty list.

import { element, icon } from "./dom.js";
import { Unreachable } from "./api.js";
import { condition } from "./words.js";

// By code, or by status.
const TITLES = {
  unknown_item: "There is no such item",
  no_image: "This item has no picture to search with",
  408: "The upload took too long",
  413: "The photo is too large",
  415: "This file cannot be read as a picture",
  503: "The service is busy",
};

/** Returns the message of an error; `actions` are [text, function] pairs, shown as buttons. */
export function errorNotice(error, actions) {
  let title = TITLES[error.code] ?? TITLES[error.status];
  let message = error.message;
  if (error instanceof Unreachable) {
    title = "The service does not answer";
    message = "Check that it is running and that this computer is connected to it.";
  }
  title ??= error.status >= 500 ? "The service failed" : "The service cannot do this";
  return stateNotice("alert", title, message, actions);
}

/** Returns why a list is empty: of results, or of a page of the gallery's `total` items. */
export function emptyNotice({ item, filters }, total, { go, goHome }) {
  if (total) {
    const first = ["First page", () => go({ offset: 0 })];
    return stateNotice(null, "The gallery has fewer pages", "", [first]);
  }
  if (filters.length) {
    const other = item === null ? "No item" : "No item other than the query";
    return stateNotice(
      null,
      "No item passes the filters",
      `${other} in the gallery has these labels: ${condition(filters)}.`,
      [["Clear the filters", () => go({ filters: [], offset: 0 })]],
    );
  }
  if (item === null) {
    return stateNotice(null, "The gallery is empty", "The service's index holds no items yet.", []);
  }
  const browse = ["Browse the gallery", goHome];
  const message = "The gallery holds no item other than the query itself.";
  return stateNotice(null, "Nothing to find", message, [browse]);
}

/** Shows a line at the top of the page, with a button to close it; replaces the last one. */
export function showNotice(root, text) {
  const close = element(
    "button",
    { type: "button", class: "round", "aria-label": "Close", onclick: () => clearNotice(root) },
    icon("close"),
  );
  root.replaceChildren(
    element("div", { class: "notice", role: "alert" }, element("p", {}, text), close),
  );
}

export function clearNotice(root) {
  root.replaceChildren();
}

function stateNotice(role, title, message, actions) {
  const buttons = actions.map(([text, run]) =>
    element("button", { type: "button", class: "button", onclick: run }, text),
  );
  return element(
    "div",
    { class: "state", role },
    element("p", { class: "state-title" }, title),
    element("p", {}, message),
    buttons.length ? element("div", { class: "state-actions" }, buttons) : null,
  );
}
