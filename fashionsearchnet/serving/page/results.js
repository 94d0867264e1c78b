// A page of the gallery, and the results of a search: a summary in words, a legend, the pictures.

import { element, icon } from "./dom.js";
import { allFacts, factsOf, legend } from "./facts.js";
import { galleryGrid, pager, resultGrid } from "./pictures.js";
import { subject } from "./subject.js";
import { technicalPanel } from "./technical.js";
import * as words from "./words.js";

/** Returns the lines above the results; `handlers` has change(change) of the state. */
export function summary(answer, state, handlers) {
  const { results } = answer;
  const parts = [
    element("span", {}, words.range(answer, results.length, noun(state))),
    ...words.findings(answer).map((found) => findingNode(found, state, handlers)),
  ];
  const same = results.length ? words.matching(answer) : "";
  if (same) parts.push(element("span", { class: "found" }, same));
  return parts;
}

/** Returns a page of the gallery with its legend and the pages beside it. */
export function galleryNodes(answer, limit, handlers) {
  const facts = subject.hasPictures ? [] : answer.items.map((item) => allFacts(item, []));
  return [
    legend(facts.flat()),
    galleryGrid(answer.items, facts, handlers),
    pager(answer, limit, handlers),
  ].filter(Boolean);
}

/** Returns the pictures with their legend, the pages and the technical details. */
export function resultNodes(answer, service, handlers) {
  const facts = answer.results.map((result) => {
    const found = factsOf(result, answer);
    return subject.hasPictures ? found : allFacts(result, found, answer.target);
  });
  const total = Math.min(answer.total, service.limits.max_depth);
  return [
    legend(facts.flat()),
    resultGrid(answer.results, facts, handlers),
    pager({ offset: answer.offset, total }, answer.k, handlers),
    technicalPanel(service, answer),
  ].filter(Boolean);
}

export function noun({ onePerProduct }) {
  return onePerProduct ? "product" : "item";
}

// "12 of 20 are red", and where some are not, the way to see only those that are.
function findingNode(found, state, handlers) {
  const { name, value, number, all } = found;
  const isMust = state.must.has(name);
  const only = () => handlers.go({ must: new Map([...state.must, [name, [value]]]) });
  return element(
    "span",
    { class: "found", title: name },
    element("strong", {}, words.finding(found)),
    number < all && !isMust
      ? element(
          "button",
          { type: "button", class: "link", "aria-label": `Must have ${name} ${value}`, onclick: only },
          icon("pin"),
          "Make it a must",
        )
      : null,
  );
}
