// The documents of Firestore as they change, a column for each collection.

import { byId, drawing, h, keyed, set, text } from "./dom.js";
import { clock } from "./times.js";

const SHOWN = 5; // of each collection, at most
const KEPT = 1_000; // of each collection; the server keeps no more
const LONG = 100; // characters, of which more are cut until somebody looks closer
const TOKEN = /token$/i; // who has a token may push, or decline a call
const TOKEN_SHOWN = 12; // characters
const FIRST = ["status", "callerId", "receiverId", "userId", "owner", "pendingSince", "served", "pushed", "recipients", "wire", "token"];
const MOMENT = /^\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)$/;
const EMPTY = {
  calls: "No call yet. Press Call on the caller's phone.",
  connections: "No phone is connected.",
  devices: "No phone has registered for pushes.",
  outbox: "Empty: nobody waits for an event.",
};

export class Documents {
  #collections = new Map(); // the documents by their ids
  #before = new Map(); // what was known before a new snapshot
  #draw = drawing(() => this.#show());
  #columns = new Map();

  /** `collections` has the names in Firestore by the short ones. */
  constructor(collections) {
    for (const [name, path] of Object.entries(collections)) {
      this.#collections.set(name, new Map());
      const list = h("ol", { class: "document-list", "aria-label": `${name}, latest first` });
      const none = h("p", { class: "empty" }, EMPTY[name] ?? "Empty.");
      const count = h("span", { class: "count" });
      this.#columns.set(name, { list, none, count });
      const title = h("h3", {}, name, " ", h("code", {}, path), " ", count);
      byId("collections").append(h("div", { class: "card collection" }, title, none, list));
    }
    this.#draw();
  }

  begin() {
    for (const [name, known] of this.#collections) {
      this.#before.set(name, known);
      this.#collections.set(name, new Map());
    }
    this.#draw();
  }

  document({ collection, id, fields, at }) {
    const known = this.#collections.get(collection);
    if (!known) return;
    const before = known.get(id) ?? this.#before.get(collection)?.get(id);
    known.set(id, { id, fields, at, ...compared(before?.fields ?? {}, fields, before !== undefined) });
    this.#forget(known);
    this.#draw();
  }

  /** Of those that are gone only the latest few are worth a place. */
  #forget(known) {
    const gone = latest([...known.values()].filter(({ fields }) => fields === null));
    for (const { id } of gone.slice(SHOWN)) known.delete(id);
    if (known.size > KEPT) known.delete(latest([...known.values()]).at(-1).id);
  }

  #show() {
    for (const [name, { list, none, count }] of this.#columns) {
      const known = this.#collections.get(name);
      const all = [...known.values()];
      const there = all.filter(({ fields }) => fields !== null).length;
      const shown = latest(all).slice(0, SHOWN);
      none.hidden = shown.length > 0;
      text(count, there > SHOWN ? `${SHOWN} of ${there}` : String(there));
      keyed(list, shown, { key: ({ id }) => id, make: makeDocument, update: updateDocument });
    }
  }
}

const latest = (documents) => documents.sort((a, b) => b.at - a.at);

/** The fields to show, those that are no more too, and which of them are new or have another value. */
function compared(before, fields, isKnown) {
  if (fields === null) return { shown: before, changed: [], removed: [] };
  const removed = Object.keys(before).filter((name) => !(name in fields));
  const isNew = (name) => written(before[name]) !== written(fields[name]);
  return { shown: { ...before, ...fields }, changed: isKnown ? Object.keys(fields).filter(isNew) : [], removed };
}

/** What one looks for first comes first, the rest by name. */
function byPlace([a], [b]) {
  const [placeA, placeB] = [a, b].map((name) => (FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length));
  return placeA - placeB || a.localeCompare(b);
}

/** A value as it is read at a glance: of a moment today, the time of day. */
function shortened(value) {
  if (!MOMENT.test(value)) return value;
  const at = new Date(value);
  const isToday = at.toDateString() === new Date().toDateString();
  const milliseconds = String(at.getMilliseconds()).padStart(3, "0");
  return isToday ? `${clock(at)}.${milliseconds}` : at.toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
}

const written = (value) => (typeof value === "string" ? value : JSON.stringify(value));

/** A field's value as it may be shown: of a token, wherever it stands in it, only the beginning. */
function readable(name, value) {
  const isToken = (key, each) => TOKEN.test(key) && typeof each === "string" && each.length > TOKEN_SHOWN;
  const cut = (key, each) => (isToken(key, each) ? `${each.slice(0, TOKEN_SHOWN)}…` : each);
  return typeof value === "string" ? cut(name, value) : JSON.stringify(value, cut);
}

function makeDocument({ id }) {
  return h(
    "li",
    {},
    h("details", { open: true },
      h("summary", {}, h("span", { class: "id", title: id }, id), h("span", { class: "state" }), h("span", { class: "at" })),
      h("dl", {})),
  );
}

function updateDocument(item, { fields, shown, at, changed, removed }) {
  const [summary, list] = item.firstElementChild.children;
  set(item, "data-gone", fields === null);
  text(summary.children[1], fields === null ? "gone" : stateOf(fields));
  text(summary.children[2], clock(at));
  keyed(list, Object.entries(shown).sort(byPlace), {
    key: ([name]) => name,
    make: ([name]) => h("div", {}, h("dt", {}, name, h("span", { class: "hidden" })), h("dd", {})),
    update: (pair, [name, value]) => {
      const isRemoved = removed.includes(name);
      const isChanged = isRemoved || changed.includes(name);
      set(pair, "data-changed", isChanged);
      set(pair, "data-removed", isRemoved);
      text(pair.querySelector(".hidden"), isRemoved ? " (removed)" : isChanged ? " (changed)" : "");
      const words = readable(name, value);
      text(pair.lastElementChild, shortened(words));
      set(pair.lastElementChild, "title", words);
      set(pair.lastElementChild, "tabindex", words.length > LONG ? "0" : null);
    },
  });
}

/** What of a document one wants to know first. */
function stateOf({ status, pendingSince, recipients, closedAt, userId, platform }) {
  if (status) return status;
  if (pendingSince) return "pending";
  if (recipients) return "done";
  return closedAt ? "closed" : (platform ?? userId ?? "");
}
