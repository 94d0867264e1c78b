// The page: one state, kept in the address; after every change the page asks the service.

import * as api from "./api.js";
import { readAddress, writeAddress } from "./address.js";
import { element, spoken } from "./dom.js";
import { Filters } from "./filters.js";
import { clearNotice, emptyNotice, errorNotice, showNotice } from "./notices.js";
import { listenForPhotos } from "./photo.js";
import { galleryPage, pager, resultGrid, skeletonGrid } from "./pictures.js";
import { QueryPanel } from "./query.js";
import * as words from "./words.js";

const PAGE_SIZE = 24;
const DEFAULT_K = 20;
const AMOUNTS = [10, 20, 50, 100];

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
  part.about.textContent = words.aboutService(service);
  defaults.k = Math.min(DEFAULT_K, service.limits.max_k);
  defaults.page = Math.min(PAGE_SIZE, service.limits.max_k);
  filters ??= new Filters(part.filters, part.pills, service.attributes, (pairs) =>
    go({ filters: pairs, offset: 0 }),
  );
  panel ??= new QueryPanel(part.query, service.attributes, {
    edit: (name, value) => go({ edits: withEdit(name, value) }),
    undoAll: () => go({ edits: new Map() }),
    explain,
    copy: copyAddress,
    leave: goHome,
  });
  listen();
  readState();
  show();
}

function readState() {
  const photo = history.state?.photo ?? null;
  state = { ...readAddress(location.search, service.attributes, defaults.k), photo };
  if (!photos.has(photo)) state.photo = null; // a reload has let go of the photos
}

/** Changes the state and the address, and shows the new state. */
function go(change) {
  const before = state;
  state = nextState(change);
  cameFrom = null;
  history.pushState({ photo: state.photo }, "", writeAddress(state, defaults.k));
  clearNotice(part.notices);
  show();
  if (state.item !== before.item || state.photo !== before.photo) {
    window.scrollTo(0, 0);
    if (hasQuery(state)) panel.title.focus({ preventScroll: true });
  } else if (state.offset !== before.offset) {
    part.list.focus();
  }
}

// Another query starts without changes: the result that was clicked has them already.
function nextState(change) {
  const next = { ...state, ...change };
  if (change.item !== undefined) next.photo = null;
  else if (change.photo !== undefined) next.item = null;
  else return next;
  next.offset = 0;
  if (hasQuery(state)) next.edits = new Map();
  return next;
}

function hasQuery({ item, photo }) {
  return item !== null || photo !== null;
}

function address(change) {
  return writeAddress(nextState(change), defaults.k);
}

// The state without changes, filters and offset.
function plain() {
  return { edits: new Map(), filters: [], k: defaults.k, offset: 0 };
}

const handlers = { go, goHome, address };

function show() {
  const searching = hasQuery(state);
  document.body.dataset.view = searching ? "search" : "gallery";
  part.landing.hidden = searching;
  part.amount.hidden = !searching;
  part["list-title"].textContent = searching ? "Nearest in the gallery" : "Start from the gallery";
  filters.show(state.filters);
  showAmounts();
  document.title = words.documentTitle(state, photos.get(state.photo)?.file.name);
  return searching ? showResults() : showGallery();
}

async function showGallery() {
  panel.hide();
  if (state.edits.size) showNotice(part.notices, words.waitingEdits(state.edits));
  const request = { filters: state.filters, offset: state.offset, limit: defaults.page };
  const answer = await load(`gallery ${state.offset}`, () => api.getItems(request, latest.start()));
  if (!answer) return;
  part.status.textContent = words.galleryRange(answer);
  if (answer.items.length) {
    const pages = pager(answer, defaults.page, handlers);
    part.content.replaceChildren(galleryPage(answer, handlers), pages);
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
  panel.show(query, state.edits);
  const answer = await load(query.key, () => api.search(currentRequest(), latest.start()));
  if (!answer) return;
  panel.fill(answer.query.attributes);
  const [number, matching, duration] = words.resultSummary(answer, state.filters.length > 0);
  part.status.replaceChildren(
    number,
    element("strong", {}, matching),
    element("span", { "aria-hidden": "true" }, duration),
  );
  if (answer.results.length) {
    const judged = `A match is judged by ${answer.judged_by}.`;
    const note = element("p", { class: "judged" }, judged);
    part.content.replaceChildren(resultGrid(answer, handlers), note);
  } else {
    part.content.replaceChildren(emptyNotice(state, 0, handlers));
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
  else if (error.status !== 404 && state && address({}) !== address(plain())) {
    actions.push(["Without changes and filters", () => go(plain())]);
  }
  if (state && hasQuery(state)) actions.push(["Browse the gallery", goHome]);
  panel?.giveUp();
  shown = null;
  part.list.removeAttribute("aria-busy");
  part.status.replaceChildren();
  part.content.replaceChildren(errorNotice(error, actions));
}

function currentRequest() {
  const photo = state.photo === null ? null : photos.get(state.photo).file;
  return { ...state, photo };
}

function currentQuery() {
  if (state.photo === null) {
    return {
      key: `item ${state.item}`,
      source: api.imageAddress(state.item),
      alt: `Query: item ${state.item}`,
      detail: `Gallery item ${state.item}`,
      isItem: true,
    };
  }
  const { file, source } = photos.get(state.photo);
  return {
    key: `photo ${source}`,
    source,
    alt: `Query: your photo ${file.name}`,
    detail: `${file.name}. Your photo is not part of the address, so this search cannot be shared.`,
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

function withEdit(name, value) {
  const edits = new Map(state.edits);
  if (value === null) edits.delete(name);
  else edits.set(name, value);
  return edits;
}

async function copyAddress(button) {
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(location.href);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Copy it from the address bar";
  }
  setTimeout(() => (button.textContent = before), 2000);
}

function showAmounts() {
  const { max_k: most } = service.limits;
  const amounts = new Set([...AMOUNTS.filter((amount) => amount <= most), state.k]);
  const ordered = [...amounts].sort((a, b) => a - b);
  part.k.replaceChildren(...ordered.map((k) => element("option", { value: k }, String(k))));
  part.k.value = String(state.k);
}

function goHome() {
  go({ ...plain(), item: null, photo: null });
}

function listen() {
  part.home.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    goHome();
  });
  part.k.addEventListener("change", () => go({ k: Number(part.k.value) }));
  window.addEventListener("popstate", () => {
    cameFrom = state.item;
    readState();
    clearNotice(part.notices);
    show();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.target.closest("input, select, textarea")) return;
    event.preventDefault();
    filters.focus();
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
