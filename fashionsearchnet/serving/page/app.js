// The page: one state, kept in the address; after every change the page asks the service.

import * as api from "./api.js";
import { readAddress, writeAddress } from "./address.js";
import { element, spoken } from "./dom.js";
import { Filters } from "./filters.js";
import { clearNotice, emptyNotice, errorNotice, showNotice } from "./notices.js";
import { listenForPhotos } from "./photo.js";
import { skeletonGrid } from "./pictures.js";
import { QueryPanel } from "./query.js";
import { galleryNodes, noun, resultNodes, summary } from "./results.js";
import { Saving } from "./saving.js";
import { Shortlist } from "./shortlist.js";
import { dropped, hasQuery, nextState, plainState } from "./state.js";
import { speakOf, subject } from "./subject.js";
import * as words from "./words.js";

const PAGE_SIZE = 24;
const DEFAULT_K = 20;
const AMOUNTS = [10, 20, 50, 100];
const MOST_KEPT = 30; // items of the shortlist: they stand in the address, and side by side

const part = Object.fromEntries(
  [...document.querySelectorAll("[id]")].map((node) => [node.id, node]),
);
const defaults = { k: DEFAULT_K, page: PAGE_SIZE }; // less where the service gives less
const latest = new api.Latest();
const photos = new Map(); // of this visit, so that the back button finds them: {file, source}

let service; // the answer of v1/attributes
let state; // readAddress's, with `photo`: a key of `photos`, or null
let filters;
let panel;
let shortlist;
let saving;
let shown = null; // what the content shows: a page of the gallery or a query
let cameFrom = null; // the item that the back button left, whose card gets the focus

async function start() {
  part.content.replaceChildren(skeletonGrid(PAGE_SIZE));
  try {
    service = await api.getAttributes(latest.start());
  } catch (error) {
    fail(error, start);
    return;
  }
  speakOf(service.model);
  part.about.textContent = words.aboutService(service);
  defaults.k = Math.min(DEFAULT_K, service.limits.max_k);
  defaults.page = Math.min(PAGE_SIZE, service.limits.max_k);
  if (!panel) build();
  readState();
  show();
}

function build() {
  const { attributes } = service;
  filters = new Filters(part.filters, part.pills, attributes, {
    change: (pairs) => go({ filters: pairs }),
    counts,
  });
  panel = new QueryPanel(part.query, attributes, service.finds_alike, {
    change: go,
    counts,
    explain,
    copy: copyAddress,
    leave: goHome,
  });
  saving = new Saving(part.saving, attributes, service.limits, {
    load: (page, signal) => api.search({ ...currentRequest(), ...page }, signal),
    problem: (text) => showNotice(part.notices, text),
  });
  shortlist = new Shortlist(part.tray, part.compare, attributes, {
    load: loadKept,
    set: keepOnly,
    search: ({ id, attributes: labels }) => go({ item: id, labels }),
    copy: (items, button) => saving.copyIds(items, button),
    save: (items) => saving.saveItems(items, "shortlist"),
  });
  listen();
}

function readState() {
  const photo = history.state?.photo ?? null;
  state = { ...readAddress(location.search, service.attributes, defaults.k), photo };
  if (!photos.has(photo)) state.photo = null; // a reload has let go of the photos
}

/** Changes the state and the address, and shows the new state. */
function go(change) {
  const before = state;
  state = nextState(state, change);
  cameFrom = null;
  history.pushState({ photo: state.photo }, "", writeAddress(state, defaults.k));
  clearNotice(part.notices);
  show();
  if (state.item !== before.item || state.photo !== before.photo) {
    window.scrollTo(0, 0);
    if (!hasQuery(state)) return;
    panel.title.focus({ preventScroll: true });
    const lost = words.droppedWords(hasQuery(before) ? dropped(before, state) : NOTHING);
    if (lost) showNotice(part.notices, lost, "status");
  } else if (state.offset !== before.offset && state.offset === change.offset) {
    part.list.focus({ preventScroll: true });
    showTop();
  } else {
    showTop();
  }
}

const NOTHING = { edits: [], corrections: [] };

// After a change the first pictures are in sight, below the query where that stays on top.
function showTop() {
  const { top } = part.list.getBoundingClientRect();
  const covered = getComputedStyle(part.query).position === "sticky" && isNarrow.matches;
  const edge = covered && !part.query.hidden ? part.query.offsetHeight : 0;
  if (top < edge) window.scrollBy(0, top - edge);
}

const isNarrow = window.matchMedia("(max-width: 900px)");

function address(change) {
  return writeAddress(nextState(state, change), defaults.k);
}

const handlers = {
  go,
  goHome,
  address,
  isKept: (id) => state.kept.includes(id),
  keep: (id) =>
    keepOnly(
      state.kept.includes(id) ? state.kept.filter((other) => other !== id) : [...state.kept, id],
    ),
};

async function loadKept(ids) {
  try {
    return (await api.getItemsById(ids.slice(0, service.limits.max_k), null)).items;
  } catch {
    return []; // the tray stays away until the service answers again
  }
}

// The shortlist changes the address without a step for the back button.
function keepOnly(kept) {
  const most = Math.min(MOST_KEPT, service.limits.max_k);
  if (kept.length > most) {
    showNotice(part.notices, `The shortlist has room for ${most} items. Take some off first.`);
    return;
  }
  state = nextState(state, { kept });
  history.replaceState(history.state, "", writeAddress(state, defaults.k));
  shortlist.show(kept);
  showKept();
}

// Marks the cards of the shortlist, and lets their addresses carry it.
function showKept() {
  for (const card of part.content.querySelectorAll(".card")) {
    const link = card.querySelector("a[data-item]");
    if (!link) continue;
    const isKept = handlers.isKept(link.dataset.item);
    const button = card.querySelector(".keep");
    button.setAttribute("aria-pressed", String(isKept));
    button.title = isKept ? "Take off the shortlist" : "Put on the shortlist";
    const fields = new URLSearchParams(link.search);
    fields.delete("keep");
    for (const id of state.kept) fields.append("keep", id);
    link.search = `?${fields}`;
  }
}

function show() {
  const searching = hasQuery(state);
  document.body.dataset.view = searching ? "search" : "gallery";
  part.landing.hidden = searching;
  part.amount.hidden = !searching;
  if (!searching) part.saving.hidden = true;
  part["list-title"].textContent = searching ? words.listTitle(state) : "Start from the gallery";
  filters.show(state.filters);
  shortlist.show(state.kept);
  showChoices();
  document.title = words.documentTitle(state, photos.get(state.photo)?.file.name);
  return searching ? showResults() : showGallery();
}

async function showGallery() {
  panel.hide();
  if (state.edits.size) showNotice(part.notices, words.waitingEdits(state.edits), "status");
  const request = { ...state, limit: defaults.page };
  const answer = await load(`gallery ${state.offset}`, () => api.getItems(request, latest.start()));
  if (!answer) return;
  shortlist.learn(answer.items);
  part.status.textContent = words.range(answer, answer.items.length, noun(state));
  if (answer.items.length) {
    part.content.replaceChildren(...galleryNodes(answer, defaults.page, handlers));
    focusCameFrom();
  } else {
    part.content.replaceChildren(emptyNotice(state, answer.total, handlers));
  }
}

function focusCameFrom() {
  const links = [...part.content.querySelectorAll("a[data-item]")];
  links.find((link) => link.dataset.item === cameFrom)?.focus();
  cameFrom = null;
}

async function showResults() {
  const query = currentQuery();
  panel.show(query, state);
  const answer = await load(query.key, () => api.search(currentRequest(), latest.start()));
  if (!answer) return;
  panel.fill(answer.query.attributes);
  shortlist.learn(answer.results);
  part.status.replaceChildren(...summary(answer, state, handlers));
  if (answer.results.length) {
    part.content.replaceChildren(...resultNodes(answer, service, handlers));
    saving.show(answer, state.item ?? photos.get(state.photo).file.name);
  } else {
    part.saving.hidden = true;
    part.content.replaceChildren(emptyNotice(state, answer.total, handlers));
  }
}

/** Returns the answer of a call; null after showing why there is none, or if a newer call came. */
async function load(key, call) {
  part.list.setAttribute("aria-busy", "true");
  if (key !== shown) {
    shown = key;
    part.status.replaceChildren(spoken("Loading"));
    part.content.replaceChildren(skeletonGrid(defaults.page));
  }
  try {
    const answer = await call();
    part.list.removeAttribute("aria-busy");
    return answer;
  } catch (error) {
    fail(error, show);
    return null;
  }
}

function fail(error, retry) {
  if (error.name === "AbortError") return;
  if (!(error instanceof api.ApiError || error instanceof api.Unreachable)) throw error;
  const actions = [];
  if (!(error.status < 500)) actions.push(["Try again", retry]);
  else if (error.status !== 404 && state && writeAddress(state, defaults.k) !== address(plainQuery())) {
    actions.push(["Without changes and filters", () => go(plainQuery())]);
  }
  if (state && hasQuery(state)) actions.push(["Browse the gallery", goHome]);
  panel?.giveUp();
  shown = null;
  part.list.removeAttribute("aria-busy");
  part.saving.hidden = true;
  part.status.replaceChildren();
  part.content.replaceChildren(errorNotice(error, actions));
}

// The changes that leave only the query.
function plainQuery() {
  const { item, photo, ...others } = plainState(state, defaults);
  return others;
}

function currentRequest() {
  const photo = state.photo === null ? null : photos.get(state.photo).file;
  return { ...state, photo };
}

function currentQuery() {
  if (state.photo === null) {
    return {
      key: `item ${state.item}`,
      source: subject.hasPictures ? api.imageAddress(state.item) : null,
      alt: `${subject.title}: item ${state.item}`,
      detail: `Item ${state.item}`,
      isItem: true,
    };
  }
  const { file, source } = photos.get(state.photo);
  return {
    key: `photo ${source}`,
    source: subject.hasPictures ? source : null,
    alt: `${subject.title}: ${file.name}`,
    detail: `${file.name}. It is not part of the address, so this search cannot be shared.`,
    isItem: false,
  };
}

async function explain() {
  try {
    const answer = await api.explain(currentRequest(), null);
    return new Map(answer.attributes.map((attribute) => [attribute.name, attribute]));
  } catch {
    return null;
  }
}

async function counts() {
  try {
    const { attributes } = await api.getCounts(state.filters, null);
    return new Map(
      attributes.map(({ name, values }) => [name, new Map(values.map((v) => [v.value, v.items]))]),
    );
  } catch {
    return null;
  }
}

async function copyAddress(button) {
  await saving.copy(location.href, button, "Copy it from the address bar");
}

function showChoices() {
  const { max_k: most } = service.limits;
  const amounts = new Set([...AMOUNTS.filter((amount) => amount <= most), state.k]);
  const ordered = [...amounts].sort((a, b) => a - b);
  part.k.replaceChildren(...ordered.map((k) => element("option", { value: k }, String(k))));
  part.k.value = String(state.k);
  part.products.hidden = !service.has_products;
  part["one-per-product"].checked = state.onePerProduct;
}

function goHome() {
  go(plainState(state, defaults));
}

function listen() {
  part.home.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    goHome();
  });
  part.k.addEventListener("change", () => go({ k: Number(part.k.value) }));
  part["one-per-product"].addEventListener("change", (event) =>
    go({ onePerProduct: event.target.checked }),
  );
  window.addEventListener("popstate", () => {
    cameFrom = state.item;
    readState();
    clearNotice(part.notices);
    show();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.target.closest("input, select, textarea, dialog")) return;
    event.preventDefault();
    filters.open();
  });
  listenForPhotos({
    input: part.file,
    buttons: [part.upload, part.drop],
    dropzone: part.dropzone,
    limits: service.limits,
    onphoto: (file) => {
      const source = URL.createObjectURL(file); // another one for every photo, after a reload too
      photos.set(source, { file, source });
      go({ photo: source });
    },
    onproblem: (text) => showNotice(part.notices, text),
  });
}

start();
