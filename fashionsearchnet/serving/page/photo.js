// Photos, or vectors, from the user's own device: chosen, dropped or pasted.

import { subject } from "./subject.js";

/** Calls `onphoto` with a file to search with, `onproblem` with a message for an unusable one. */
export function listenForPhotos({ input, buttons, dropzone, limits, onphoto, onproblem }) {
  const take = (file) => {
    const problem = problemOf(file, limits);
    if (problem) onproblem(problem);
    else onphoto(file);
  };
  input.accept = subject.accept;
  input.ariaLabel = subject.fileLabel;
  for (const button of buttons) button.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    if (input.files.length) take(input.files[0]);
    input.value = ""; // the same file may be chosen again
  });
  document.addEventListener("paste", (event) => {
    const [file] = event.clipboardData.files;
    const pasted = file ?? numbersOf(event);
    if (pasted) take(pasted);
  });
  listenForDrops(dropzone, take);
}

// A vector may be pasted as the text of its numbers: [0.1, -0.2].
function numbersOf({ target, clipboardData }) {
  const text = clipboardData.getData("text").trim();
  if (subject.hasPictures || !text.startsWith("[") || target.closest?.("input")) return null;
  return new File([text], "pasted numbers.json");
}

function listenForDrops(dropzone, take) {
  const carriesFiles = (event) => event.dataTransfer.types.includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    dropzone.hidden = false;
  });
  document.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) dropzone.hidden = true;
  });
  document.addEventListener("drop", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    dropzone.hidden = true;
    if (event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
  });
}

// Formats that people have and the service does not read, by the end of the name or the type.
const OTHER_FORMATS = [
  [/heic|heif/i, "HEIC", "On an iPhone: Settings, Camera, Formats, “Most Compatible” saves JPEG."],
  [/avif/i, "AVIF", "Save it as JPEG or PNG."],
  [/tiff?$/i, "TIFF", "Save it as JPEG or PNG."],
  [/gif$/i, "GIF", "Save it as JPEG or PNG."],
  [/svg/i, "SVG", "Save it as JPEG or PNG."],
];

function problemOf(file, { max_upload_bytes: most }) {
  const { name, size } = file;
  const problem = subject.hasPictures ? problemOfPicture(file) : problemOfVector(file);
  if (problem) return problem;
  if (size <= most) return null;
  const advice = subject.hasPictures ? "Choose a smaller picture." : subject.chooseFile;
  return `“${name}” has ${megabytes(size)}; at most ${megabytes(most)} can be uploaded. ${advice}`;
}

function problemOfVector({ name }) {
  return /\.(npy|json)$/i.test(name) ? null : `“${name}” is not a vector. ${subject.chooseFile}`;
}

function problemOfPicture({ name, type }) {
  const ending = name.split(".").at(-1);
  const other = OTHER_FORMATS.find(([pattern]) => pattern.test(type) || pattern.test(ending));
  if (other) return `“${name}” is a ${other[1]} picture, which cannot be read here. ${other[2]}`;
  if (!type.startsWith("image/")) {
    return `“${name}” is not a picture. Choose a JPEG, PNG, WebP or BMP file.`;
  }
  return null;
}

function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
