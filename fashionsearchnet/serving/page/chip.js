// One attribute of the query: its value, what is known of it, its pin and its way back.

import { element, icon, percent } from "./dom.js";
import { subject } from "./subject.js";
import { guesses, isDoubtful } from "./words.js";

/**
 * Returns the chip of an attribute.
 *
 * `fact` is {name, reading, label, lacksLabel, original, current, edited, corrected, pinned, weight}:
 * the answer's reading, the gallery's label or null, whether only other attributes have one, the
 * value without and with the changes, what was changed to and corrected to (or null), the values
 * that results must have (or null), and how much it counts that results have it alike (or null).
 * `handlers` has open(), pin(), like() and undo(); like is null where that cannot be asked.
 */
export function chipNode(fact, isOpen, handlers) {
  const { name, current, edited, corrected, pinned, weight } = fact;
  const isGuess = isUncertain(fact);
  const button = element(
    "button",
    {
      type: "button",
      class: "chip-button",
      "aria-haspopup": "dialog",
      "aria-expanded": String(isOpen),
      onclick: handlers.open,
    },
    element("span", { class: "chip-name" }, name),
    element(
      "span",
      { class: "chip-value" },
      current,
      isGuess ? element("span", { class: "chip-guess" }, "?") : null,
      pinned ? element("span", { class: "chip-mark" }, icon("pin")) : null,
      weight ? element("span", { class: "chip-mark chip-mark-like" }, icon("alike")) : null,
    ),
    notes(fact, isGuess).map((text) => element("span", { class: "chip-note" }, text)),
  );
  const classes = ["chip"];
  if (edited !== null) classes.push("chip-edited");
  if (isGuess) classes.push("chip-doubtful");
  if (weight) classes.push("chip-alike");
  const chip = element("li", { class: classes.join(" ") }, button);
  chip.dataset.name = name;
  const buttons = element("span", { class: "chip-buttons" });
  if (edited !== null || corrected !== null) buttons.append(undoButton(fact, handlers.undo));
  buttons.append(pinButton(fact, handlers.pin));
  if (handlers.like) buttons.append(likeButton(fact, handlers.like));
  chip.append(buttons);
  return chip;
}

/** Returns whether the shown value is a guess of the model that nobody confirmed. */
export function isUncertain({ reading, label, edited, corrected }) {
  return edited === null && corrected === null && label === null && isDoubtful(reading);
}

/** Returns what the button for results alike in an attribute does next; it counts twice at most. */
export function likeWords({ name, weight }) {
  if (weight === null) return `Find what is alike in ${name}`;
  return weight === 1 ? `Let ${name} count twice` : `Do not go by ${name} any more`;
}

/** Returns the words of the pin of an attribute. */
export function pinWords({ name, current, pinned }) {
  return pinned ? `Results must have ${name} ${pinned.join(" or ")}` : `Must have ${current}`;
}

// What stands below the value: where it comes from, and what results must have.
function notes(fact, isGuess) {
  const { reading, label, lacksLabel, original, current, edited, corrected, pinned, weight } = fact;
  const lines = [];
  if (weight) lines.push(weight === 1 ? "results are alike in this" : `counts ${weight} times`);
  if (edited !== null && edited !== original) lines.push(`was ${original}`);
  if (corrected !== null) lines.push(`corrected, the ${subject.it} was read as ${reading.value}`);
  else if (label !== null && label !== reading.value && !isDoubtful(reading)) {
    lines.push(`labelled so; the ${subject.looksLike} ${reading.value}`);
  }
  if (isGuess) lines.push(`not sure: ${guesses(reading)}`);
  else if (lacksLabel && corrected === null) lines.push(`${subject.seen}, not labelled`);
  if (pinned) {
    const isOther = pinned.length > 1 || pinned[0] !== current;
    lines.push(isOther ? `must have ${pinned.join(" or ")}` : "must have");
  }
  return lines;
}

function likeButton(fact, onclick) {
  const words = likeWords(fact);
  return element(
    "button",
    {
      type: "button",
      class: "round chip-like",
      "aria-pressed": String(fact.weight !== null),
      "aria-label": words,
      title: words,
      onclick,
    },
    icon("alike"),
  );
}

function pinButton(fact, onclick) {
  const words = pinWords(fact);
  return element(
    "button",
    {
      type: "button",
      class: "round chip-pin",
      "aria-pressed": String(fact.pinned !== null),
      "aria-label": `${words} (${fact.name})`,
      title: words,
      onclick,
    },
    icon("pin"),
  );
}

function undoButton({ name, edited }, onclick) {
  const what = edited === null ? "correction" : "change";
  return element(
    "button",
    {
      type: "button",
      class: "round chip-undo",
      "aria-label": `Undo the ${what} of ${name}`,
      title: `Undo the ${what}`,
      onclick,
    },
    icon("close"),
  );
}

/** Returns in a sentence what the picture, or the vector, shows, for the menu of an attribute. */
export function readingWords({ reading, label, corrected }) {
  if (corrected !== null) return `You said that it is really ${corrected}.`;
  if (label !== null) return `Labelled ${label}.`;
  if (isDoubtful(reading)) return `Not sure: ${guesses(reading)}.`;
  return `The ${subject.looksLike} ${reading.value} (${percent(reading.probability)} sure).`;
}
