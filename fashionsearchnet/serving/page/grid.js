// Arrow keys in a list of pictures: one card is in the tab order, arrows move to the others.

/** Makes the cards of a list reachable by arrow keys, Home and End; Tab goes through one card. */
export function addArrowKeys(list) {
  const cards = [...list.children];
  const links = cards.map((card) => card.querySelector("a[data-item]"));
  const enter = (active) => {
    for (const card of cards) {
      for (const node of card.querySelectorAll("a, button")) {
        node.tabIndex = card === active ? 0 : -1;
      }
    }
  };
  enter(cards[0]);
  list.addEventListener("focusin", (event) => enter(event.target.closest(".card")));
  list.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
    const target = neighbour(links, links.indexOf(document.activeElement), event.key);
    if (!target) return;
    event.preventDefault();
    target.focus();
  });
}

function neighbour(links, now, key) {
  if (now < 0) return undefined;
  const columns = numColumns(links);
  const positions = {
    ArrowLeft: now - 1,
    ArrowRight: now + 1,
    ArrowUp: now - columns,
    ArrowDown: now + columns,
    Home: 0,
    End: links.length - 1,
  };
  return links[positions[key]];
}

function numColumns(links) {
  const top = links[0].offsetTop;
  const below = links.findIndex((link) => link.offsetTop > top);
  return below < 0 ? links.length : below;
}
