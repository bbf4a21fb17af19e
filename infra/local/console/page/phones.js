// The phones side by side: a caller's, a receiver's, and a second device of the receiver.

import { byId, keyed, set } from "./dom.js";
import { json } from "./jsonwire.js";
import { Phone } from "./phone.js";
import { phoneView } from "./phoneview.js";
import { Signals } from "./times.js";

const LETTERS = "abcdefghjkmnpqrstuvwxyz23456789";
const RELOAD_MS = 500; // in which a tab that is loaded again has let go of its id
const PAGE = await pageId();

export class Phones {
  #stack;
  #signals = new Signals();
  #all = [];
  #views = new Map();
  #seen = new Set();

  constructor(stack) {
    this.#stack = stack;
    this.caller = this.#add("caller", "Caller's phone", kept("caller", "alice"));
    this.receiver = this.#add("receiver", "Receiver's phone", kept("receiver", "bob"));
    this.#point();
    byId("second").addEventListener("click", () => this.#addSecond());
  }

  /** Takes a push of the stack's, if it is for one of these phones. */
  push(push) {
    const key = JSON.stringify([push.device, push.at, push.type, push.data.callId]);
    const phone = this.#all.find(({ token }) => token === push.device);
    // A snapshot has those that came before, also before this page was there.
    if (!phone || this.#seen.has(key) || push.at < performance.timeOrigin) return;
    this.#seen.add(key);
    phone.push(push);
  }

  #add(id, title, user) {
    const phone = new Phone({
      title,
      user,
      device: `${id}-${PAGE}`,
      token: `console-${id}-${PAGE}`,
      wire: json,
      stack: this.#stack,
      signals: this.#signals,
    });
    const isSecond = id === "second";
    this.#all.push(phone);
    this.#views.set(phone, {
      id,
      element: phoneView(phone, id, {
        press: (action) => this.#press(phone, action),
        renamed: isSecond ? null : (name) => this.#rename(phone, id, name),
        remove: isSecond ? () => this.#remove(phone) : null,
      }),
    });
    this.#draw();
    return phone;
  }

  #press(phone, action) {
    if (action === "call") phone.initiate(`CALL_${random(6)}`);
    else phone[action]();
  }

  #addSecond() {
    if (this.#all.length > 2) return;
    this.#add("second", "Receiver's second device", this.receiver.user);
    this.#point();
    set(byId("second"), "aria-disabled", "true"); // which leaves the focus where it is
  }

  async #remove(phone) {
    await phone.remove();
    this.#all = this.#all.filter((each) => each !== phone);
    this.#draw();
    set(byId("second"), "aria-disabled", null);
    byId("second").focus();
  }

  #rename(phone, id, user) {
    keep(id, user);
    phone.become({ user });
    if (phone === this.receiver) for (const other of this.#all.slice(2)) other.become({ user });
    this.#point();
  }

  /** Has each phone call the other's user. */
  #point() {
    for (const phone of this.#all) phone.calls(phone === this.caller ? this.receiver.user : this.caller.user);
  }

  #draw() {
    const items = this.#all.map((phone) => this.#views.get(phone));
    keyed(byId("phone-grid"), items, { key: ({ id, element }) => element ?? id, make: ({ element }) => element });
  }
}

function random(length) {
  const bytes = crypto.getRandomValues(new Uint8Array(length));
  return Array.from(bytes, (byte) => LETTERS[byte % LETTERS.length]).join("");
}

/**
 * Which tells the phones of this tab from those of others, also when it is loaded again. A tab that
 * is duplicated has the id of the first, and gets another.
 */
async function pageId() {
  const before = sessionStorage.getItem("unring-page");
  if (before && (await isOurs(before))) return before;
  const id = random(6);
  sessionStorage.setItem("unring-page", id);
  await isOurs(id);
  return id;
}

/** Takes an id for as long as this tab is there; promises whether no other tab has it. */
function isOurs(id) {
  return new Promise((resolve) => {
    const keep = () => new Promise(() => resolve(true));
    const signal = AbortSignal.timeout(RELOAD_MS);
    navigator.locks.request(`unring-page-${id}`, { signal }, keep).catch(() => resolve(false));
  });
}

/** The user that the address names (`?caller=carol`), else the one of before. */
const kept = (id, otherwise) =>
  new URLSearchParams(location.search).get(id) || sessionStorage.getItem(`unring-${id}`) || otherwise;
const keep = (id, user) => sessionStorage.setItem(`unring-${id}`, user);
