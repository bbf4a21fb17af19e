// Elements made and kept. Whatever comes from outside becomes text, never HTML.

/** An element. Functions are listeners; `true` and `false` set and leave out an attribute. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.replace(/^on/, ""), value);
    else set(element, name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** Sets an attribute if it differs; `false`, `null` and `undefined` remove it. */
export function set(element, name, value) {
  const wanted = value === true ? "" : value;
  if (wanted === false || wanted === null || wanted === undefined) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(wanted)) element.setAttribute(name, wanted);
}

/** Sets the text if it differs: a live region says only what is new. */
export function text(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

/** What stands in `backticks` becomes code, the rest text. */
export function prose(words) {
  return words.split("`").map((part, index) => (index % 2 ? h("code", {}, part) : part));
}

const kept = new WeakMap();

/**
 * Has `parent` show one child for each item, in their order. A child stays the same element as long
 * as its item's key is there, so that focus and what is unfolded stay, too.
 */
export function keyed(parent, items, { key, make, update }) {
  const focused = document.activeElement;
  const before = kept.get(parent) ?? new Map();
  const now = new Map();
  items.forEach((item, index) => {
    const child = before.get(key(item)) ?? make(item);
    update?.(child, item);
    now.set(key(item), child);
    if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] ?? null);
  });
  for (const [each, child] of before) if (!now.has(each)) child.remove();
  kept.set(parent, now);
  // An element that is moved has left the page for a moment, and its focus with it.
  if (focused !== document.activeElement && parent.contains(focused)) focused.focus({ preventScroll: true });
}

/** Calls `draw` once before the next frame, however often it is asked for until then. */
export function drawing(draw) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      draw();
    });
  };
}

export const byId = (id) => document.getElementById(id);
