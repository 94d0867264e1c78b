// The address of the page as the state of the search, and back.

/**
 * Returns the state of a query string:
 *   item: its id, null for none;
 *   edits, corrections: Maps of attribute to value, what is wanted and what the picture really shows;
 *   likes: Map of attribute to how much it counts that results have it alike; in place of edits;
 *   must: Map of attribute to the values that a result may have;
 *   filters: array of [attribute, value];
 *   k: results of a page, `defaultK` if the string has none;
 *   offset: items before this page;
 *   onePerProduct: whether of each product only one picture is listed;
 *   kept: ids of the shortlist.
 */
export function readAddress(search, attributes, defaultK) {
  const fields = new URLSearchParams(search);
  const pairs = (name) => fields.getAll(name).map((pair) => splitPair(pair, attributes));
  const must = new Map();
  for (const [name, value] of pairs("must")) must.set(name, [...(must.get(name) ?? []), value]);
  return {
    item: fields.get("item"),
    edits: new Map(pairs("set")),
    corrections: new Map(pairs("correct")),
    likes: new Map(fields.getAll("like").map((text) => splitLike(text, attributes))),
    must,
    filters: pairs("filter"),
    k: wholeNumber(fields.get("k"), defaultK),
    offset: wholeNumber(fields.get("offset"), 0),
    onePerProduct: fields.get("one_per_product") === "true",
    kept: [...new Set(fields.getAll("keep"))],
  };
}

/** Returns the query string of a state, "?" for the plain gallery. */
export function writeAddress(state, defaultK) {
  const fields = new URLSearchParams();
  if (state.item !== null) fields.set("item", state.item);
  const lists = [
    ["correct", [...state.corrections]],
    ["set", [...state.edits]],
    ["must", mustPairs(state.must)],
    ["filter", state.filters],
  ];
  for (const [field, pairs] of lists) {
    for (const [name, value] of pairs) fields.append(field, `${name}=${value}`);
  }
  for (const text of likeTexts(state.likes)) fields.append("like", text);
  if (state.k !== defaultK) fields.set("k", state.k);
  if (state.offset) fields.set("offset", state.offset);
  if (state.onePerProduct) fields.set("one_per_product", "true");
  for (const id of state.kept) fields.append("keep", id);
  return `?${fields}`;
}

/** Returns the pairs [attribute, value] of what results must have. */
export function mustPairs(must) {
  return [...must].flatMap(([name, values]) => values.map((value) => [name, value]));
}

/** Returns texts such as "neckline" or, with a weight other than 1, "neckline:2". */
export function likeTexts(likes) {
  return [...likes].map(([name, weight]) => (weight === 1 ? name : `${name}:${weight}`));
}

// A name may hold ":" itself. What is no weight above 0 goes to the service, which refuses it.
function splitLike(text, attributes) {
  const at = text.lastIndexOf(":");
  const weight = Number(text.slice(at + 1));
  const isName = attributes.some(({ name }) => name === text);
  return at < 0 || isName || !(weight > 0) ? [text, 1] : [text.slice(0, at), weight];
}

// A name may hold "=" itself, so known names come first; the service will refuse unknown ones.
function splitPair(pair, attributes) {
  for (const { name, values } of attributes) {
    if (values.some((value) => pair === `${name}=${value}`)) {
      return [name, pair.slice(name.length + 1)];
    }
  }
  const [name, ...rest] = pair.split("=");
  return [name, rest.join("=")];
}

function wholeNumber(text, otherwise) {
  return /^\d+$/.test(text ?? "") ? Number(text) : otherwise;
}
