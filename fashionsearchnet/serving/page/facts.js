// The lines below a result: what it has of what was asked for, and how else it differs.

import { count, element, icon, spoken } from "./dom.js";
import { valueOf } from "./items.js";
import { subject } from "./subject.js";

const UNKNOWN = "not labelled";
const DIFFERENCES = 2; // lines before the rest is only counted

const LEGEND = {
  met: ["check", () => "as you asked"],
  missed: ["close", () => "not as you asked"],
  differs: ["differs", () => `differs from ${subject.yours}`],
  read: ["read", () => `${subject.seen}, not labelled`],
};

/** Returns the facts of a result as [{kind, name, value, isRead, ending}]; kinds as in LEGEND. */
export function factsOf(result, { edits, target }) {
  const asked = Object.keys(edits);
  const fact = (kind, name, ending) => ({ kind, name, ending, ...valueOf(result, name) });
  const lines = asked.map((name) =>
    result.differing.includes(name)
      ? fact("missed", name, `, but you asked for ${edits[name]}`)
      : fact("met", name, ", as you asked"),
  );
  for (const name of result.differing.filter((other) => !asked.includes(other))) {
    // What the picture shows does not differ from a value; that nobody labelled it does.
    const line = fact("differs", name, ` instead of ${target[name] ?? "no label"}`);
    const isSame = line.isRead && line.value === target[name];
    lines.push(isSame ? { ...line, value: null, isRead: false } : line);
  }
  return lines;
}

/**
 * Returns the facts of an item that has no picture to show: `facts`, then the values of all other
 * attributes, of the kind "plain". Their `note` says why an item counts as equal to the `target` of
 * a search where its label is another.
 */
export function allFacts(item, facts, target = {}) {
  const known = new Set(facts.map(({ name }) => name));
  const others = Object.keys(item.attributes).filter((name) => !known.has(name));
  const plain = others.map((name) => {
    const found = valueOf(item, name);
    const read = item.predicted[name] ?? null;
    const isRead = read !== null && read === target[name] && read !== found.value;
    const note = isRead ? ` (${subject.looksLike} ${read})` : "";
    return { kind: "plain", name, ending: "", note, ...found };
  });
  return [...facts, ...plain.filter(({ value }) => value !== null)];
}

/** Returns the lines of facts; below a picture only `DIFFERENCES` of those that nobody asked for. */
export function factLines(facts) {
  if (!subject.hasPictures) return element("span", { class: "facts" }, facts.map(line));
  const asked = facts.filter(({ kind }) => kind !== "differs");
  const others = facts.filter(({ kind }) => kind === "differs");
  const rest = others.splice(others.length > DIFFERENCES ? DIFFERENCES - 1 : DIFFERENCES);
  const lines = [...asked, ...others].map(line);
  if (rest.length) {
    const words = rest.map(({ name, value }) => `${name} ${value ?? UNKNOWN}`).join(", ");
    const more = `and ${count(rest.length, "more difference")}`;
    lines.push(
      element("span", { class: "fact", title: words }, more, spoken(`: ${words}`)),
    );
  }
  return element("span", { class: "facts" }, lines);
}

/** Returns the legend of the marks that occur in facts; null if there are none. */
export function legend(facts) {
  const kinds = new Set(facts.map(({ kind }) => kind));
  if (facts.some(({ isRead }) => isRead)) kinds.add("read");
  const entries = Object.entries(LEGEND).filter(([kind]) => kinds.has(kind));
  if (!entries.length) return null;
  return element(
    "p",
    { class: "legend" },
    entries.map(([kind, [drawing, text]]) =>
      element("span", { class: `legend-entry fact-${kind}` }, icon(drawing), text()),
    ),
  );
}

function line({ kind, name, value, isRead, ending, note = "" }) {
  const words = value ?? UNKNOWN;
  return element(
    "span",
    { class: `fact fact-${kind}`, title: `${name}: ${words}${ending}` },
    kind === "plain" ? element("span", { class: "icon" }) : icon(LEGEND[kind][0]),
    element(
      "span",
      {},
      `${name} `,
      element("span", { class: "fact-value" }, words),
      note,
      isRead ? element("span", { class: "fact-read" }, icon("read")) : null,
      spoken(ending + (isRead ? `, ${subject.seen}` : "")),
    ),
  );
}
