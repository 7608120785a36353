"use strict";

// Builds the elements of the page. All values come from outside, so they become text, never markup.

const byId = (id) => document.getElementById(id);

function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("aria-") || key === "role" || key === "sandbox") made.setAttribute(key, value);
    else made[key] = value;
  }
  made.append(...children);
  return made;
}

let isBehind = false; // Whether a text keeps its old value until its selection ends.

/** Sets a text unless it is equal, or somebody is selecting it. */
function setText(target, text) {
  if (target.textContent === text) return;
  const selection = getSelection();
  if (!selection.isCollapsed && selection.containsNode(target, true)) isBehind = true;
  else target.textContent = text;
}

/** Makes the children of `parent` match `items`. A child stays the same element as long as its key stays. */
function follow(parent, items, keyOf, create, update) {
  const before = parent.childrenByKey ?? new Map();
  const after = new Map();
  const first = parent.childrenByKey === undefined;
  let place = parent.firstElementChild;
  for (const item of items) {
    let key = keyOf(item);
    while (after.has(key)) key += "+";
    let child = before.get(key);
    if (!child) {
      child = create(item);
      if (!first) child.classList.add("new");
    }
    before.delete(key);
    after.set(key, child);
    update(child, item);
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
  }
  for (const child of before.values()) child.remove();
  parent.childrenByKey = after;
}

/** Shows a list; for an empty list, shows the sentence before the list instead. */
function showOrEmpty(list, isEmpty) {
  list.closest("section").querySelector(".empty").hidden = !isEmpty;
  list.hidden = isEmpty;
}

function time(text) {
  const at = new Date(text);
  return Number.isNaN(at.getTime()) ? String(text ?? "") : at.toLocaleTimeString([], { hourCycle: "h23" });
}

function newestFirst(items, field) {
  return items
    .map((item, index) => ({ item, index }))
    .sort((a, b) => (Date.parse(b.item[field]) || 0) - (Date.parse(a.item[field]) || 0) || b.index - a.index)
    .map(({ item }) => item);
}

function prettyJson(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

async function copy(text, button) {
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Cannot copy: select the command instead";
  }
  button.disabled = true;
  setTimeout(() => {
    button.textContent = label;
    button.disabled = false;
  }, 1500);
}
