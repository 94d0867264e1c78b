// Arrow keys in a list of pictures: one picture is in the tab order, arrows move to the others.

/** Makes the links of a list reachable by arrow keys, Home and End. */
export function addArrowKeys(list) {
  const links = [...list.querySelectorAll("a")];
  links.forEach((link, number) => {
    link.tabIndex = number ? -1 : 0;
  });
  list.addEventListener("focusin", (event) => {
    const link = event.target.closest("a");
    for (const other of links) other.tabIndex = other === link ? 0 : -1;
  });
  list.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
    const target = neighbour(links, links.indexOf(document.activeElement), event.key);
    if (!target) return;
    event.preventDefault();
    target.focus();
  });
}

function neighbour(links, now, key) {
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
