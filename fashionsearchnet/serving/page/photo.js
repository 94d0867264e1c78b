// Photos from the user's own device: chosen, dropped or pasted.

/** Calls `onphoto` with a picture file, `onproblem` with a message for an unusable one. */
export function listenForPhotos({ input, buttons, dropzone, limits, onphoto, onproblem }) {
  const take = (file) => {
    const problem = problemOf(file, limits);
    if (problem) onproblem(problem);
    else onphoto(file);
  };
  for (const button of buttons) button.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    if (input.files.length) take(input.files[0]);
    input.value = ""; // the same file may be chosen again
  });
  document.addEventListener("paste", (event) => {
    if (event.clipboardData.files.length) take(event.clipboardData.files[0]);
  });
  listenForDrops(dropzone, take);
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

function problemOf({ name, type, size }, { max_upload_bytes: most }) {
  const ending = name.split(".").at(-1);
  const other = OTHER_FORMATS.find(([pattern]) => pattern.test(type) || pattern.test(ending));
  if (other) return `“${name}” is a ${other[1]} picture, which cannot be read here. ${other[2]}`;
  if (!type.startsWith("image/")) {
    return `“${name}” is not a picture. Choose a JPEG, PNG, WebP or BMP file.`;
  }
  if (size > most) {
    return `“${name}” has ${megabytes(size)}; at most ${megabytes(most)} can be uploaded. \
Choose a smaller picture.`;
  }
  return null;
}

function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
