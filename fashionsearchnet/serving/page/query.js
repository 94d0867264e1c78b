// The query: its picture, and its attributes as chips that can be changed, corrected, pinned, and
// searched by alone.

import { chipNode, likeWords, pinWords, readingWords } from "./chip.js";
import { count, element, percent } from "./dom.js";
import { closeMenu, openMenu } from "./menu.js";
import { Stage } from "./stage.js";
import { withEntry } from "./state.js";
import { subject } from "./subject.js";

const NUM_SKELETONS = 4;
const EDGE = 24; // pixels beside a chip that is swiped into sight
const NOTHING = new Map();
const NO_CHANGES = { edits: NOTHING, corrections: NOTHING, likes: NOTHING, must: NOTHING };

export class QueryPanel {
  #key = null;
  #readings = null; // attributes of the service's answer; null until there is one
  #values = new Map(); // attribute name to its values, in the order of the space
  #changes = NO_CHANGES;
  #attention = null; // promise of attribute name to {overlay, box}
  #shown = null; // the attribute whose attention is shown, or null
  #open = null; // the attribute whose menu is open, or null

  /**
   * `handlers` has change({edits, corrections, likes, must}), counts() (a promise of Maps by
   * attribute and value, or null), explain(), copy(button) and leave(). `findsAlike` is whether
   * attributes can be searched by alone.
   */
  constructor(root, attributes, findsAlike, handlers) {
    this.findsAlike = findsAlike;
    this.root = root;
    this.handlers = handlers;
    this.#values = new Map(attributes.map(({ name, values }) => [name, values]));
    this.stage = new Stage("stage-large");
    this.title = element("h2", { id: "query-title", tabindex: "-1" }, subject.title);
    this.detail = element("p", { class: "query-detail" });
    this.copy = linkButton("Copy link", () => handlers.copy(this.copy));
    this.undoAll = linkButton("Undo all", () => this.#undoAll());
    this.chips = element("ul", {
      class: "chips",
      role: "list",
      "aria-label": `Attributes of ${subject.yours}`,
    });
    this.#build();
    this.#listen();
  }

  /** Shows a query {key, source, alt, detail, isItem}; its chips follow with `fill`. */
  show(query, { edits, corrections, likes, must }) {
    this.root.hidden = false;
    this.#changes = { edits, corrections, likes, must };
    const isNew = query.key !== this.#key;
    closeMenu();
    if (isNew) {
      this.#key = query.key;
      this.#readings = null;
      this.#attention = null;
      this.#shown = null;
      this.query = query;
      this.stage.showPicture(query.source, query.alt);
      this.detail.textContent = query.detail;
      this.copy.hidden = !query.isItem || !navigator.clipboard;
    }
    this.#render();
  }

  fill(readings) {
    const isNew = this.#readings === null;
    this.#readings = readings;
    this.#render();
    const { edits, likes, must } = this.#changes;
    const [changed] = [...edits.keys(), ...likes.keys(), ...must.keys()];
    if (isNew && changed !== undefined) this.#uncover(changed);
  }

  /** Hides the placeholder chips when no answer comes. */
  giveUp() {
    if (this.#readings === null) this.section.hidden = true;
  }

  hide() {
    closeMenu();
    this.root.hidden = true;
    this.#key = null;
  }

  #build() {
    const leave = linkButton("New search", () => this.handlers.leave());
    this.section = element(
      "div",
      { class: "query-chips" },
      element(
        "p",
        { class: "hint" },
        this.findsAlike
          ? "Choose one to change or correct it, pin a must, or go by it alone."
          : "Choose one to change or correct it; pin a must.",
      ),
      this.chips,
    );
    this.root.replaceChildren(
      ...(subject.hasPictures ? [this.stage.node] : []),
      element(
        "div",
        { class: "query-head" },
        this.title,
        this.detail,
        element("div", { class: "row" }, this.copy, leave, this.undoAll),
      ),
      this.section,
    );
  }

  #render() {
    const focused = document.activeElement;
    const { name } = focused?.closest(".chip")?.dataset ?? {};
    const selector = [".chip-undo", ".chip-pin", ".chip-like"].find((one) => focused?.matches(one));
    this.section.hidden = false;
    this.undoAll.hidden = Object.values(this.#changes).every((change) => change.size === 0);
    this.chips.setAttribute("aria-busy", String(this.#readings === null));
    if (this.#readings === null) {
      const empty = () => element("li", { class: "chip skeleton" });
      this.chips.replaceChildren(...Array.from({ length: NUM_SKELETONS }, empty));
      return;
    }
    const scrolled = this.chips.scrollLeft;
    this.chips.replaceChildren(...this.#readings.map((reading) => this.#chip(reading)));
    this.chips.scrollLeft = scrolled;
    if (name === undefined) return;
    const same = selector && this.#button(name, selector);
    (same || this.#button(name))?.focus({ preventScroll: true });
    this.#uncover(name);
  }

  // What is known of an attribute and what was changed about it; see chip.js.
  #fact(reading) {
    const { name, label } = reading;
    const edited = this.#changes.edits.get(name) ?? null;
    const corrected = this.#changes.corrections.get(name) ?? null;
    const original = corrected ?? label ?? reading.value;
    const pinned = this.#changes.must.get(name) ?? null;
    const weight = this.#changes.likes.get(name) ?? null;
    const current = edited ?? original;
    // Only beside attributes with a label a missing one says something.
    const lacksLabel = label === null && this.#readings.some((other) => other.label !== null);
    const changes = { edited, corrected, pinned, weight };
    return { name, reading, label, lacksLabel, original, current, ...changes };
  }

  #chip(reading) {
    const { name } = reading;
    const fact = this.#fact(reading);
    return chipNode(fact, this.#open === name, {
      open: () => (this.#open === name ? closeMenu(true) : this.#openMenu(fact)),
      pin: () => this.#pin(fact),
      like: this.findsAlike ? () => this.#like(fact) : null,
      undo: () => (fact.edited === null ? this.#correct(fact, null) : this.#edit(fact, null)),
    });
  }

  #edit(fact, value) {
    const wanted = value === fact.original ? null : value;
    const edits = withEntry(this.#changes.edits, fact.name, wanted);
    this.#change(fact, { edits, likes: NOTHING }, wanted ?? fact.original);
  }

  #correct(fact, value) {
    const { name, label, reading } = fact;
    const seen = label ?? reading.value;
    const isSure = value === null || (value === seen && label !== null);
    const corrections = withEntry(this.#changes.corrections, name, isSure ? null : value);
    const original = value ?? seen;
    const edits = withEntry(this.#changes.edits, name, fact.edited === original ? null : fact.edited);
    this.#change(fact, { corrections, edits }, edits.get(name) ?? original);
  }

  // A pin goes with the value that the chip shows.
  #change({ name, pinned }, change, current) {
    const must = pinned ? withEntry(this.#changes.must, name, [current]) : this.#changes.must;
    this.handlers.change({ ...this.#changes, ...change, must });
  }

  #pin({ name, pinned, current }) {
    const must = withEntry(this.#changes.must, name, pinned ? null : [current]);
    this.handlers.change({ ...this.#changes, must });
  }

  // Not at all, once, twice, not at all. It is a search of its own, so edits go.
  #like({ name, weight }) {
    const next = weight === null ? 1 : weight === 1 ? 2 : null;
    const likes = withEntry(this.#changes.likes, name, next);
    this.handlers.change({ ...this.#changes, edits: NOTHING, likes });
  }

  #undoAll() {
    this.handlers.change(NO_CHANGES);
    this.chips.querySelector(".chip-button")?.focus({ preventScroll: true });
  }

  #button(name, selector = ".chip-button") {
    const chips = [...this.chips.children];
    return chips.find((chip) => chip.dataset.name === name)?.querySelector(selector);
  }

  // Where the chips are in a row to swipe through, moves the row so that this one is in sight.
  #uncover(name) {
    const row = this.chips.getBoundingClientRect();
    const chip = this.#button(name)?.closest(".chip").getBoundingClientRect();
    if (!chip) return;
    if (chip.left < row.left) this.chips.scrollLeft += chip.left - row.left;
    else if (chip.right > row.right) this.chips.scrollLeft += chip.right - row.right + EDGE;
  }

  #openMenu(fact) {
    const { name } = fact;
    const sheet = new Stage("stage-small");
    sheet.showPicture(this.query.source, this.query.alt);
    openMenu({
      anchor: () => this.#button(name),
      panel: this.root,
      title: name,
      text: readingWords(fact),
      header: subject.hasPictures ? sheet.node : null,
      tabs: [this.#changeTab(fact), this.#correctTab(fact)],
      toggles: this.#toggles(fact),
      onclose: () => {
        this.#setOpen(null, null);
        this.#look(null);
      },
    });
    this.#setOpen(name, sheet);
    this.#look(name);
  }

  #toggles(fact) {
    const pinned = fact.pinned !== null;
    const pin = { kind: "pin", text: pinWords(fact), pressed: pinned, onclick: () => this.#pin(fact) };
    if (!this.findsAlike) return [pin];
    const onclick = () => this.#like(fact);
    return [pin, { kind: "alike", text: likeWords(fact), pressed: fact.weight !== null, onclick }];
  }

  #changeTab(fact) {
    return {
      text: "Change to",
      hint: "What you want to see instead.",
      options: this.#options(fact, fact.current, () => null),
      details: this.handlers.counts().then((counts) => {
        const numbers = counts?.get(fact.name);
        return numbers && new Map([...numbers].map(([value, n]) => [value, count(n, "item")]));
      }),
      onpick: (value) => this.#edit(fact, value),
    };
  }

  #correctTab(fact) {
    const probabilities = new Map(fact.reading.values.map((v) => [v.value, v.probability]));
    return {
      text: "It is really",
      hint: `Corrects how the ${subject.it} was read; the search starts from there.`,
      options: this.#options(fact, fact.original, (value) => percent(probabilities.get(value) ?? 0)),
      onpick: (value) => this.#correct(fact, value),
    };
  }

  #options({ name }, now, detail) {
    return this.#values.get(name).map((value) => ({
      label: value,
      group: null,
      detail: detail(value),
      selected: value === now,
      value,
    }));
  }

  #setOpen(name, sheet) {
    this.#button(name ?? this.#open)?.setAttribute("aria-expanded", String(name !== null));
    this.#open = name;
    this.sheet = sheet;
  }

  #listen() {
    const over = (event) => {
      if (!this.sheet) this.#look(event.target.closest(".chip")?.dataset.name ?? null);
    };
    const focused = (event) => {
      if (event.target.matches(":focus-visible")) over(event);
    };
    const away = () => {
      if (!this.sheet) this.#look(null);
    };
    this.chips.addEventListener("pointerover", over);
    this.chips.addEventListener("focusin", focused);
    this.chips.addEventListener("pointerleave", away);
    this.chips.addEventListener("focusout", away);
  }

  // Shows where the model looked for an attribute; loads the maps once per query.
  async #look(name) {
    if (!subject.hasPictures || (this.sheet && name === null)) return;
    this.#shown = name;
    if (name === null || this.#readings === null) {
      this.stage.clear();
      return;
    }
    const key = this.#key;
    this.#attention ??= this.handlers.explain();
    const attention = await this.#attention;
    if (attention === null && key === this.#key) this.#attention = null; // the next look asks again
    if (key !== this.#key || name !== this.#shown) return;
    for (const stage of [this.stage, this.sheet]) {
      if (!stage) continue;
      if (attention?.has(name)) stage.showAttention(name, attention.get(name));
      else stage.say("Where the search looked is not known now");
    }
  }
}

function linkButton(text, onclick) {
  return element("button", { type: "button", class: "link", onclick }, text);
}
