// Notices in place of pictures: errors with the next steps, and the reason for an empty list.

import { mustPairs } from "./address.js";
import { element, icon } from "./dom.js";
import { Unreachable } from "./api.js";
import { subject } from "./subject.js";
import { condition } from "./words.js";

// Title and advice, by code or by status; `subject.errors` has others for vectors.
const WORDS = {
  unknown_item: ["There is no such item", "It may have been removed. Choose another one."],
  no_image: ["This item has no picture to search with", "Upload its photo instead."],
  image_unreadable: ["The picture of this item is gone", "Choose another one."],
  408: ["The upload took too long", "Try again, or choose a smaller picture."],
  413: ["The photo is too large", "Choose a smaller picture, or save it in a smaller size."],
  415: [
    "This file cannot be read as a picture",
    "Choose a photo in JPEG, PNG, WebP or BMP. Most programs save as JPEG.",
  ],
  422: ["This cannot be searched", "Leave the changes out, or choose another picture."],
  500: ["The service failed", "Try again. If it fails again, tell the person who runs it."],
  503: ["The service is busy", "Try again in a moment."],
};
const PLAIN = ["unknown_attribute", "unknown_value"]; // codes whose message is in plain words

/** Returns the message of an error; `actions` are [text, function] pairs, shown as buttons. */
export function errorNotice(error, actions) {
  if (error instanceof Unreachable) {
    const advice = "Check that it is running and that this computer is connected to it.";
    return stateNotice("alert", "The service does not answer", advice, actions);
  }
  const general = error.status >= 500 ? 500 : 422;
  const known = { ...WORDS, ...subject.errors };
  const [title, advice] = known[error.code] ?? known[error.status] ?? known[general];
  const isPlain = PLAIN.includes(error.code);
  const notice = stateNotice("alert", title, isPlain ? error.message : advice, actions);
  if (!isPlain) {
    notice.append(
      element(
        "details",
        { class: "technical" },
        element("summary", {}, "Technical details"),
        element("p", {}, error.message),
      ),
    );
  }
  return notice;
}

/** Returns why a list is empty: of results, or of a page of the gallery's `total` items. */
export function emptyNotice({ item, filters, must }, total, { go, goHome }) {
  if (total) {
    const first = ["First page", () => go({ offset: 0 })];
    return stateNotice(null, "There are fewer pages", "", [first]);
  }
  const musts = mustPairs(must);
  if (filters.length || musts.length) {
    const actions = [];
    if (filters.length) actions.push(["Clear the filters", () => go({ filters: [] })]);
    if (musts.length) actions.push(["Take back the musts", () => go({ must: new Map() })]);
    const other = item === null ? "No item" : subject.noOther;
    const asked = [condition(filters), condition(musts)].filter(Boolean).join(", and it must be: ");
    return stateNotice(
      null,
      musts.length ? "Nothing has all that it must have" : "No item passes the filters",
      `${other} in the gallery has these: ${asked}.`,
      actions,
    );
  }
  if (item === null) {
    return stateNotice(null, "The gallery is empty", "It holds no items yet.", []);
  }
  const browse = ["Browse the gallery", goHome];
  const message = `The gallery holds no item other than ${subject.yours} itself.`;
  return stateNotice(null, "Nothing to find", message, [browse]);
}

/**
 * Shows a line at the top of the page, with a button to close it; replaces the last one. `role` is
 * "alert" for a problem, "status" for news.
 */
export function showNotice(root, text, role = "alert") {
  const close = element(
    "button",
    { type: "button", class: "round", "aria-label": "Close", onclick: () => clearNotice(root) },
    icon("close"),
  );
  root.replaceChildren(
    element("div", { class: `notice notice-${role}`, role }, element("p", {}, text), close),
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
