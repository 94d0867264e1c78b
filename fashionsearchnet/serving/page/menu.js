// The menu of a chip: a small dialog below it, a sheet from below on a narrow screen.

import { element, icon } from "./dom.js";
import { Listbox } from "./listbox.js";

const SEARCHABLE = 8; // lists longer than this get a field to search in
const GAP = 6; // pixels between a chip and its menu
const MARGIN = 12; // pixels between a menu and the edge of the window

let open = null;

/**
 * Opens a menu for the element that `anchor` returns (which may be another one later), beside
 * `panel`. `header` is shown on a narrow screen, where the menu may hide the picture.
 */
export function openMenu({ anchor, panel, title, header, options, onpick, onclose }) {
  closeMenu();
  const listbox = new Listbox({ label: title, multiple: false, onpick: pick });
  const input = options.length > SEARCHABLE ? searchField(title, listbox) : null;
  const node = element(
    "div",
    { class: "menu", role: "dialog", "aria-label": title, onkeydown: handleKey },
    element(
      "div",
      { class: "menu-head" },
      header,
      element("p", { class: "menu-title" }, title),
      element(
        "button",
        { type: "button", class: "round", "aria-label": "Close", onclick: () => closeMenu(true) },
        icon("close"),
      ),
    ),
    input,
    listbox.node,
  );
  listbox.owner = input ?? listbox.node;
  listbox.owner.tabIndex = 0;
  listbox.setOptions(options);
  const shade = element("div", { class: "shade" });
  document.body.append(shade, node);
  open = { node, shade, anchor, panel, onclose };
  place();
  listbox.owner.focus({ preventScroll: true });
  listbox.activateSelected();

  function pick(value) {
    closeMenu(true);
    onpick(value);
  }

  function handleKey(event) {
    if (event.key === "Escape" || event.key === "Tab") {
      event.preventDefault();
      closeMenu(true);
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
