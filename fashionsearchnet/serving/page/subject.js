// What the model takes, pictures or vectors of another model, and the page's words for it.

const PICTURES = {
  hasPictures: true,
  accept: "image/*",
  fileLabel: "Photo to search with",
  yours: "your picture",
  noOther: "No item other than your picture",
  title: "Your picture",
  thing: "picture",
  it: "picture",
  seen: "seen on the picture",
  looksLike: "picture looks like",
  technical: (size) => ["Image size", `${size} pixels`],
  waiting: "photo",
  choose: "Choose or upload a picture to apply the change.",
  errors: {},
};

// The texts of index.html whose `data-words` name them; for pictures the file holds them.
const PAGE_WORDS = {
  skip: "Skip to the items",
  rest: " a vector",
  lead: "Choose an item, say what should be different, and see what comes closest.",
  upload: "Upload a vector",
  hint: "or drop its .npy file anywhere on this page, or paste its numbers",
  drop: "Drop the vector to search with it",
};

/** The words for pictures, until `speakOf` chose others; `hasPictures` is false for vectors. */
export let subject = PICTURES;

/** Chooses the words for a model: `takes` and `image_size` of the service's answer. */
export function speakOf({ takes, image_size: size }) {
  if (takes !== "vectors") return;
  subject = vectorsOf(size);
  document.body.dataset.takes = takes;
  for (const node of document.querySelectorAll("[data-words]")) {
    node.textContent = PAGE_WORDS[node.dataset.words];
  }
}

function vectorsOf(numbers) {
  const size = numbers.toLocaleString("en");
  const choose = `Choose a .npy file with one vector of ${size} numbers.`;
  return {
    hasPictures: false,
    accept: ".npy,.json",
    fileLabel: "Vector to search with",
    yours: "your item",
    noOther: "No item other than yours",
    title: "Your item",
    thing: "item",
    it: "vector",
    seen: "read off the vector",
    looksLike: "vector reads as",
    technical: () => ["Numbers of a vector", size],
    waiting: "vector",
    choose: "Choose an item or upload a vector to apply the change.",
    chooseFile: choose,
    errors: {
      no_image: ["This item has no vector to search with", "Upload its vector instead."],
      image_unreadable: ["The vector of this item is gone", "Choose another one."],
      unusable_vector: [
        "This vector cannot be searched with",
        `It must be one vector of ${size} numbers, of the model that computed the gallery.`,
      ],
      408: ["The upload took too long", "Try again."],
      413: ["The file is too large", choose],
      422: ["This cannot be searched", "Leave the changes out, or choose another item."],
    },
  };
}
