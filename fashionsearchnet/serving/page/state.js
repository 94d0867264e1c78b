// What a change makes of the state of the page (see address.js; `photo` names an uploaded photo).

/**
 * Returns the state after a change. Another query keeps edits, pins and filters, except:
 *   - edits that the chosen item meets already (`change.labels` are its values);
 *   - corrections, which are about the picture before.
 */
export function nextState(state, { labels = {}, ...change }) {
  const next = { ...state, ...change };
  const isOther = change.item !== undefined || change.photo !== undefined;
  if (isOther) {
    if (change.item !== undefined) next.photo = change.photo ?? null;
    else next.item = null;
    const edits = [...next.edits].filter(([name, value]) => labels[name] !== value);
    next.edits = new Map(edits);
    next.corrections = new Map();
  }
  const keepsPlace = ["offset", "kept"].some((name) => name in change) && !isOther;
  if (!keepsPlace) next.offset = change.offset ?? 0;
  return next;
}

/** Returns what got lost between two states, as {edits, corrections}: arrays of pairs. */
export function dropped(before, after) {
  const lost = (name) => [...before[name]].filter(([key]) => !after[name].has(key));
  return { edits: lost("edits"), corrections: lost("corrections") };
}

/** Returns a state without query, changes, filters and place; `defaults` holds k. */
export function plainState({ kept, onePerProduct }, defaults) {
  return {
    item: null,
    photo: null,
    edits: new Map(),
    corrections: new Map(),
    likes: new Map(),
    must: new Map(),
    filters: [],
    k: defaults.k,
    offset: 0,
    onePerProduct,
    kept,
  };
}

export function hasQuery({ item, photo }) {
  return item !== null || photo !== null;
}

/** Returns a Map with an entry set, or without it for the value null. */
export function withEntry(map, name, value) {
  const copy = new Map(map);
  if (value === null) copy.delete(name);
  else copy.set(name, value);
  return copy;
}
