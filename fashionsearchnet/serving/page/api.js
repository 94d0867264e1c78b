// The service's HTTP API. Every call takes an AbortSignal and returns parsed JSON.

import { likeTexts, mustPairs } from "./address.js";

/** The service answered, and refused or failed. */
export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** The service did not answer at all. */
export class Unreachable extends Error {}

/** Gives out signals; a new one aborts the last, so that the page drops late answers. */
export class Latest {
  #controller = new AbortController();

  start() {
    this.#controller.abort();
    this.#controller = new AbortController();
    return this.#controller.signal;
  }
}

export function getAttributes(signal) {
  return request("v1/attributes", { signal });
}

export function getItems({ filters, offset, limit, onePerProduct }, signal) {
  const fields = [
    ["offset", offset],
    ["limit", limit],
    ["one_per_product", onePerProduct],
    ...pairs("filter", filters),
  ];
  return request(`v1/items?${new URLSearchParams(fields)}`, { signal });
}

/** Returns the items of these ids, without those that do not exist. */
export function getItemsById(ids, signal) {
  const fields = [["limit", ids.length], ...ids.map((id) => ["item", id])];
  return request(`v1/items?${new URLSearchParams(fields)}`, { signal });
}

/** Returns how many items have each value, under the filters of the other attributes. */
export function getCounts(filters, signal) {
  return request(`v1/counts?${new URLSearchParams(pairs("filter", filters))}`, { signal });
}

/** Searches with `photo` if it is a File, else with a gallery item. */
export function search(state, signal) {
  const fields = [
    ...pairs("correct", state.corrections),
    ...pairs("set", state.edits),
    ...likeTexts(state.likes).map((text) => ["like", text]),
    ...pairs("must", mustPairs(state.must)),
    ...pairs("filter", state.filters),
    ["k", state.k],
    ["offset", state.offset],
    ["one_per_product", state.onePerProduct],
  ];
  return ask("v1/search", state, fields, signal);
}

export function explain({ item, photo }, signal) {
  return ask("v1/explain", { item, photo }, [], signal);
}

export function imageAddress(item) {
  return `v1/items/${encodeURIComponent(item)}/image`;
}

function pairs(field, entries) {
  return [...entries].map(([name, value]) => [field, `${name}=${value}`]);
}

function ask(path, { item, photo }, fields, signal) {
  if (photo === null) {
    return request(`${path}?${new URLSearchParams([["item", item], ...fields])}`, { signal });
  }
  const body = new FormData();
  body.append("image", photo);
  for (const [name, value] of fields) body.append(name, value);
  return request(path, { method: "POST", body, signal });
}

async function request(path, options) {
  let response;
  try {
    response = await fetch(path, { ...options, headers: { Accept: "application/json" } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Unreachable("The service does not answer.");
  }
  let answer;
  try {
    answer = await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    answer = null; // a proxy's page, or an answer that was cut off
  }
  if (response.ok && answer !== null) return answer;
  const { code = "unknown", message = `The service answered ${response.status}.` } =
    answer?.error ?? {};
  throw new ApiError(response.status, code, message);
}
