// What an engineer wants to know of an answer; a merchandiser can leave it closed.

import { element } from "./dom.js";
import { subject } from "./subject.js";

/** Returns a closed panel with the model, the times and the distances of a search. */
export function technicalPanel(service, answer) {
  const { model } = service;
  const took = answer.took_ms;
  const milliseconds = `${took.total} ms (network ${took.model}, index ${took.index})`;
  const entries = [
    ["System", [model.system, model.variant].filter(Boolean).join(" / ")],
    ["Fingerprint of the weights", model.fingerprint],
    subject.technical(model.image_size),
    ["The vectors use labels", service.uses_labels ? "yes" : "no"],
    ["A match is judged by", answer.judged_by],
    ["Time", milliseconds],
  ];
  const distances = answer.results.map(({ id, distance }) =>
    element("li", {}, `${id}: ${distance.toFixed(3)}`),
  );
  return element(
    "details",
    { class: "technical" },
    element("summary", {}, "Technical details"),
    element(
      "dl",
      {},
      entries.flatMap(([term, text]) => [element("dt", {}, term), element("dd", {}, text)]),
      element(
        "dt",
        {},
        Object.keys(answer.like).length
          ? "1 less the probability of the same value"
          : "Euclidean distance to the changed query",
      ),
      element("dd", {}, element("ol", { start: answer.offset + 1 }, distances)),
    ),
  );
}
