// The page's texts for a state and for the service's answers.

import { count } from "./dom.js";
import { subject } from "./subject.js";

const DOUBT = 0.6; // a reading below this probability is shown as a guess

/** Returns the title of the document; `photo` is the name of an uploaded file, or null. */
export function documentTitle({ item, edits, likes }, photo) {
  const alike = likes.size ? `alike in ${list(likes.keys())}` : null;
  return [item ?? photo, ...words(edits), alike, "FashionSearchNet"].filter(Boolean).join(" · ");
}

/** Returns "1–24 of 8,000 items", or "12 items" for all; `noun` is "item" or "product". */
export function range({ total, offset }, number, noun) {
  if (!number) return `No ${noun}s`;
  if (number === total) return count(total, noun);
  const [first, last] = [offset + 1, offset + number].map((n) => n.toLocaleString("en"));
  return `${first}–${last} of ${count(total, noun)}`;
}

export function aboutService({ num_items: items }) {
  return count(items, "item");
}

/**
 * Returns what the results of a page have of what was asked for: an array of
 * {name, value, number, all}, one for each edit.
 */
export function findings({ results, edits }) {
  if (!results.length) return [];
  return Object.entries(edits).map(([name, value]) => ({
    name,
    value,
    number: results.filter((result) => !result.differing.includes(name)).length,
    all: results.length,
  }));
}

/** Returns "12 of 20 are red". */
export function finding({ value, number, all }) {
  return `${number} of ${all} ${number === 1 ? "is" : "are"} ${value}`;
}

/** Returns the title of a list of results. */
export function listTitle({ likes }) {
  return likes.size ? `Most alike in ${list(likes.keys())}` : "Most similar";
}

/** Returns "8 are the same in all 4 attributes", "" if none is. */
export function matching({ results, query, edits, like }) {
  const number = results.filter((result) => result.matches).length;
  if (!number) return "";
  const same = `${number} ${number === 1 ? "is" : "are"} the same`;
  const asked = Object.keys(like);
  if (asked.length) return `${same} in ${list(asked)}`;
  return Object.keys(edits).length
    ? `${same} in everything else too`
    : `${same} in all ${count(query.attributes.length, "attribute")}`;
}

export function isDoubtful({ probability }) {
  return probability < DOUBT;
}

/** Returns "Blue or Navy Blue": the two likeliest values of a reading. */
export function guesses({ values }) {
  return values
    .slice(0, 2)
    .map(({ value }) => value)
    .join(" or ");
}

/** Returns why an address with changes but without a query shows the gallery. */
export function waitingEdits(edits) {
  const { waiting, choose } = subject;
  const changes = `This address changes a ${waiting} (${words(edits).join(", ")})`;
  return `${changes}, but it does not hold the ${waiting}. ${choose}`;
}

/** Returns what another query dropped, "" for nothing; see state.js. */
export function droppedWords({ edits, corrections }) {
  const sentences = [];
  if (edits.length) {
    sentences.push(`This ${subject.thing} has ${words(edits).join(", ")} already, so that change is done.`);
  }
  if (corrections.length) {
    const really = `“It is really ${corrections.map((pair) => pair[1]).join(", ")}”`;
    sentences.push(`${really} was about the ${subject.thing} before, and is dropped.`);
  }
  return sentences.join(" ");
}

/** Returns filters as a condition: values of one attribute are alternatives. */
export function condition(filters) {
  const names = [...new Set(filters.map(([name]) => name))];
  return names
    .map((name) => {
      const values = filters.filter((pair) => pair[0] === name).map((pair) => pair[1]);
      return `${name} is ${values.join(" or ")}`;
    })
    .join(" and ");
}

// Returns "neckline", "neckline and colour" or "neckline, colour and sleeve".
function list(names) {
  const [last, ...others] = [...names].reverse();
  return others.length ? `${others.reverse().join(", ")} and ${last}` : last;
}

function words(edits) {
  return [...edits].map(([name, value]) => `${name}: ${value}`);
}
