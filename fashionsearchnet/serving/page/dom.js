// Building elements. Everything from the service enters as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";
const PATHS = {
  alike: "M3 10a4.500 4.500 0 1 0 9 0a4.500 4.500 0 1 0 -9 0M8 10a4.500 4.500 0 1 0 9 0a4.500 4.500 0 1 0 -9 0",
  check: "M4 10.5l4 4 8-9",
  close: "M5 5l10 10M15 5L5 15",
  differs: "M4 7.5h12M4 12.5h12M13 4L7 16",
  down: "M5 8l5 5 5-5",
  filter: "M3 5h14M6 10h8M9 15h2",
  left: "M12 4l-6 6 6 6",
  right: "M8 4l6 6-6 6",
  outside: "M8 5H4v11h11v-4M11 4h5v5M16 4l-7 7",
  pin: "M7 3h6l-.6 5.500L15 11v1H5v-1l2.600-2.500zM10 12v5",
  picture: "M3 4h14v12H3zM3 13l4-4 4 4 2-2 4 4M12.500 7.500h.01",
  read: "M3 8.500c2.500-3 4.500-3 7 0s4.500 3 7 0M3 13.500c2.500-3 4.500-3 7 0s4.500 3 7 0",
  star: "M10 3l2.200 4.600 5 .7-3.600 3.500.9 5L10 14.400l-4.500 2.400.9-5L2.800 8.300l5-.7z",
  upload: "M10 13V4M6 7.500L10 3.500l4 4M4 13v3h12v-3",
};

/** Returns an element; `on...` properties are listeners, strings among the children are text. */
export function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null));
  return node;
}

/** Returns one of the line drawings of `PATHS`; it says nothing to a screen reader. */
export function icon(name) {
  const drawing = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  drawing.setAttribute("viewBox", "0 0 20 20");
  drawing.setAttribute("class", "icon");
  drawing.setAttribute("aria-hidden", "true");
  drawing.append(path);
  return drawing;
}

/** Returns text that only a screen reader says. */
export function spoken(text) {
  return element("span", { class: "spoken" }, text);
}

/** Returns a picture in a square tile; a picture that cannot be loaded leaves a drawing of one. */
export function tile(source, alt, lazy = true) {
  const frame = element("span", { class: "tile" });
  const missing = () => {
    frame.classList.add("tile-empty");
    frame.replaceChildren(icon("picture"), spoken(`${alt} (no picture)`.trim()));
  };
  if (source === null) {
    missing();
    return frame;
  }
  const loading = lazy ? "lazy" : "eager";
  frame.append(
    element("img", { src: source, alt, loading, draggable: "false", onerror: missing }),
  );
  return frame;
}

/** Returns "1 item" or "18,000 items". */
export function count(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

/** Returns "92%"; a probability that is not quite 0 or 1 never says so. */
export function percent(probability) {
  const rounded = Math.round(probability * 100);
  if (rounded === 0 && probability > 0) return "<1%";
  if (rounded === 100 && probability < 1) return ">99%";
  return `${rounded}%`;
}

/** Keeps the focus within `root` on the Tab key `event`: from the last element to the first. */
export function keepFocus(event, root) {
  const nodes = [...root.querySelectorAll("button, input, summary, a[href], [tabindex='0']")];
  const reachable = nodes.filter((node) => !node.disabled && node.offsetParent !== null);
  const edge = event.shiftKey ? reachable[0] : reachable.at(-1);
  if (document.activeElement !== edge && root.contains(document.activeElement)) return;
  event.preventDefault();
  (event.shiftKey ? reachable.at(-1) : reachable[0])?.focus();
}
