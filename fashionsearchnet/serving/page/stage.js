// A picture in a square, with the model's attention over it.

import { element, tile } from "./dom.js";

export class Stage {
  constructor(className) {
    this.node = element("figure", { class: `stage ${className}` });
    this.caption = element("figcaption", {});
  }

  /** Shows a picture without anything over it. */
  showPicture(source, alt) {
    this.node.replaceChildren(tile(source, alt, false), this.caption);
    this.clear();
  }

  /** Lays over the picture the `overlay` (a data URL, or null) and the `box` (or null). */
  showAttention(name, { overlay, box }) {
    this.clear();
    const layers = [];
    if (overlay) layers.push(element("img", { class: "overlay", src: overlay, alt: "" }));
    if (box) layers.push(boxNode(box));
    this.caption.before(...layers);
    this.say(
      layers.length
        ? `Where the search looked for ${name}`
        : `Where the search looked for ${name} is not known`,
    );
  }

  say(text) {
    this.caption.textContent = text;
    this.caption.hidden = false;
  }

  clear() {
    this.caption.hidden = true;
    for (const layer of this.node.querySelectorAll(".overlay, .box")) layer.remove();
  }
}

// A box is ymin, xmin, ymax, xmax in 0..1 of the square.
function boxNode([top, left, bottom, right]) {
  const node = element("div", { class: "box" });
  const sides = { top, left, bottom: 1 - bottom, right: 1 - right };
  for (const [side, share] of Object.entries(sides)) {
    node.style.setProperty(side, `${100 * share}%`);
  }
  return node;
}
