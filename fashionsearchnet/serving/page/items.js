// What a shop shows of an item: its columns, and its values for each attribute.

import { subject } from "./subject.js";

/** Returns {title, subtitle, link} of an item, each null if there is none. */
export function presentation({ columns }) {
  const texts = Object.entries(columns).filter(([, text]) => text && !isLink(text));
  const link = Object.values(columns).find(isLink) ?? null;
  return { title: texts[0]?.[1] ?? null, subtitle: texts[1]?.[1] ?? null, link };
}

/** Returns a name for an item in words: its title, else its values where a picture shows it, else its id. */
export function describe(item) {
  const { title } = presentation(item);
  if (title !== null) return title;
  const values = Object.values(item.attributes).filter((value) => value !== null);
  return values.length && subject.hasPictures ? values.join(", ") : `item ${item.id}`;
}

/**
 * Returns the value of an attribute as {value, isRead}: the label, or what the model reads off the
 * picture where there is none; value null where neither is known.
 */
export function valueOf({ attributes, predicted }, name) {
  const label = attributes[name] ?? null;
  if (label !== null) return { value: label, isRead: false };
  const value = predicted[name] ?? null;
  return { value, isRead: value !== null };
}

/** Returns whether a text is an address that a browser may open. */
export function isLink(text) {
  return /^https?:\/\/\S+$/i.test(text);
}
