// The address of the page as the state of the search, and back.

/**
 * Returns the state of a query string: item (null for none), edits (Map of attribute to wanted
 * value), filters (array of [attribute, value]), k (`defaultK` if the string has none), and offset
 * of the gallery's page.
 */
export function readAddress(search, attributes, defaultK) {
  const fields = new URLSearchParams(search);
  return {
    item: fields.get("item"),
    edits: new Map(fields.getAll("set").map((pair) => splitPair(pair, attributes))),
    filters: fields.getAll("filter").map((pair) => splitPair(pair, attributes)),
    k: wholeNumber(fields.get("k"), defaultK),
    offset: wholeNumber(fields.get("offset"), 0),
  };
}

/** Returns the query string of a state, "?" for the plain gallery. */
export function writeAddress({ item, edits, filters, k, offset }, defaultK) {
  const fields = new URLSearchParams();
  if (item !== null) fields.set("item", item);
  for (const [name, value] of edits) fields.append("set", `${name}=${value}`);
  for (const [name, value] of filters) fields.append("filter", `${name}=${value}`);
  if (k !== defaultK) fields.set("k", k);
  if (offset) fields.set("offset", offset);
  return `?${fields}`;
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
