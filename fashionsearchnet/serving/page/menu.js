// The menu of a chip: a small dialog below it, a sheet from below on a narrow screen.

import { element, icon, keepFocus } from "./dom.js";
import { Listbox } from "./listbox.js";

const SEARCHABLE = 8; // lists longer than this get a field to search in
const GAP = 6; // pixels between a chip and its menu
const MARGIN = 12; // pixels between a menu and the edge of the window

let open = null;

/**
 * Opens a menu for the element that `anchor` returns (which may be another one later), beside
 * `panel`. `header` is shown on a narrow screen, where the menu may hide the picture. Each of
 * `tabs` is {text, hint, options, details, onpick}: a list to pick from, whose details may come
 * later (a promise of Map of value to text). Each of `toggles` is {kind, text, pressed, onclick}; its
 * kind is an icon.
 */
export function openMenu({ anchor, panel, title, text, header, tabs, toggles, onclose }) {
  closeMenu();
  const body = element("div", { class: "menu-body" });
  const hint = element("p", { class: "menu-hint" });
  const buttons = tabs.map((tab) =>
    element(
      "button",
      { type: "button", class: "tab", "aria-pressed": "false", onclick: () => choose(tab) },
      tab.text,
    ),
  );
  const node = element(
    "div",
    { class: "menu", role: "dialog", "aria-label": title, onkeydown: handleKey },
    head(header, title, text),
    element("div", { class: "tabs", role: "group", "aria-label": title }, buttons),
    hint,
    body,
    toggles.map(toggleButton),
  );
  const shade = element("div", { class: "shade" });
  document.body.append(shade, node);
  open = { node, shade, anchor, panel, onclose };
  let listbox = null;
  choose(tabs[0]);
  place();

  function choose(tab) {
    buttons.forEach((button, number) => {
      button.setAttribute("aria-pressed", String(tabs[number] === tab));
    });
    hint.textContent = tab.hint;
    const label = `${tab.text}: ${title}`;
    listbox = new Listbox({ label, multiple: false, onpick: (value) => pick(tab, value) });
    const input = tab.options.length > SEARCHABLE ? searchField(label, listbox) : null;
    listbox.owner = input ?? listbox.node;
    listbox.owner.tabIndex = 0;
    listbox.setOptions(tab.options);
    body.replaceChildren(...[input, listbox.node].filter(Boolean));
    listbox.owner.focus({ preventScroll: true });
    listbox.activateSelected();
    const shown = listbox;
    tab.details?.then((details) => shown.setDetails(details));
  }

  function pick(tab, value) {
    closeMenu(true);
    tab.onpick(value);
  }

  function handleKey(event) {
    if (event.key === "Escape") {
      event.preventDefault();
      closeMenu(true);
    } else if (event.key === "Tab") {
      keepFocus(event, node);
    } else if (!event.target.closest("button")) {
      listbox.handleKey(event);
    }
    event.stopPropagation();
  }
}

/** Closes the menu, if one is open; `refocus` gives the focus back to its chip. */
export function closeMenu(refocus = false) {
  if (!open) return;
  const { node, shade, anchor, onclose } = open;
  open = null;
  node.remove();
  shade.remove();
  onclose();
  if (refocus) anchor()?.focus({ preventScroll: true });
}

function head(header, title, text) {
  return element(
    "div",
    { class: "menu-head" },
    header,
    element(
      "div",
      { class: "menu-words" },
      element("p", { class: "menu-title" }, title),
      element("p", { class: "menu-text" }, text),
    ),
    element(
      "button",
      { type: "button", class: "round", "aria-label": "Close", onclick: () => closeMenu(true) },
      icon("close"),
    ),
  );
}

function toggleButton({ kind, text, pressed, onclick }) {
  return element(
    "button",
    {
      type: "button",
      class: `menu-toggle menu-toggle-${kind}`,
      "aria-pressed": String(pressed),
      onclick: () => {
        closeMenu(true);
        onclick();
      },
    },
    icon(kind),
    element("span", {}, text),
    pressed && kind === "pin" ? element("span", { class: "menu-toggle-off" }, "Take back") : null,
  );
}

function searchField(title, listbox) {
  return element("input", {
    type: "text",
    class: "field",
    role: "combobox",
    placeholder: "Search",
    autocomplete: "off",
    spellcheck: "false",
    "aria-label": `${title}: search`,
    "aria-autocomplete": "list",
    "aria-controls": listbox.id,
    "aria-expanded": "true",
    oninput: (event) => listbox.filter(event.target.value),
  });
}

// Beside the panel, so that its picture stays in sight, or where there is no room below or above
// the chip. On a narrow screen the style sheet overrules it.
function place() {
  const chip = open?.anchor();
  if (!chip) return;
  const { node } = open;
  const box = chip.getBoundingClientRect();
  const { right } = open.panel.getBoundingClientRect();
  const furthest = window.innerWidth - node.offsetWidth - MARGIN;
  const below = window.innerHeight - box.bottom - GAP - MARGIN;
  const above = box.top - GAP - MARGIN;
  let left = right;
  let room = window.innerHeight - 2 * MARGIN;
  let top = Math.min(box.top, window.innerHeight - node.offsetHeight - MARGIN);
  if (right > furthest) {
    left = Math.min(box.left, furthest);
    room = Math.max(below, above);
    const height = Math.min(node.scrollHeight, room);
    top = height <= below ? box.bottom + GAP : box.top - GAP - height;
  }
  node.style.setProperty("--left", `${Math.max(left, MARGIN)}px`);
  node.style.setProperty("--top", `${Math.max(top, MARGIN)}px`);
  node.style.setProperty("--room", `${room}px`);
}

window.addEventListener("resize", place);
window.addEventListener("scroll", place, { passive: true });
document.addEventListener("pointerdown", (event) => {
  const { target } = event;
  if (open && !open.node.contains(target) && !open.anchor()?.contains(target)) closeMenu(true);
});
