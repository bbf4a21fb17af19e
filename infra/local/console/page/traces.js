// The traces that the stack has told of, and the one that is shown.

import * as api from "./api.js";

const KEPT = 200; // as many as the server keeps

export class Traces extends EventTarget {
  about = ""; // a user's or a call's id, or the beginning of one
  follows = true; // whether the newest is shown as it comes
  hasAll = false; // also those that are no signal of a client's
  selected = null; // an id
  #traces = new Map();
  #spans = new Map(); // of the selected trace, by id

  /** A snapshot follows: what is not in it is gone. */
  begin() {
    this.#traces.clear();
    this.#changed();
  }

  /** Those that are asked for, newest first. */
  get listed() {
    return [...this.#traces.values()]
      .filter((trace) => (this.hasAll || isSignal(trace)) && isAbout(trace, this.about))
      .sort((a, b) => b.started - a.started);
  }

  get isEmpty() {
    return this.#traces.size === 0;
  }

  get shown() {
    return this.#traces.get(this.selected) ?? null;
  }

  get spans() {
    return [...this.#spans.values()].sort((a, b) => a.start - b.start);
  }

  trace(trace) {
    this.#traces.set(trace.id, trace);
    if (this.#traces.size > KEPT) this.#dropOldest();
    if (this.follows) this.#select(this.listed[0]?.id ?? null);
    this.#changed();
  }

  span(span) {
    if (span.trace !== this.selected) return;
    this.#spans.set(span.id, span);
    this.#changed();
  }

  /** Shows one, and follows no more. */
  choose(id) {
    this.follows = false;
    this.#select(id);
    this.#changed();
  }

  ask(asked) {
    Object.assign(this, asked);
    if (this.follows) this.#select(this.listed[0]?.id ?? null);
    this.#changed();
  }

  #select(id) {
    if (id === this.selected) return;
    this.selected = id;
    this.#spans.clear();
    if (id !== null) this.#load(id);
  }

  async #load(id) {
    const trace = await api.trace(id).catch(() => null); // it may just have been dropped
    if (!trace || id !== this.selected) return;
    // What came live meanwhile is newer.
    for (const span of trace.spans) if (!this.#spans.has(span.id)) this.#spans.set(span.id, span);
    this.#changed();
  }

  #dropOldest() {
    const oldest = [...this.#traces.values()].reduce((a, b) => (a.started <= b.started ? a : b));
    this.#traces.delete(oldest.id);
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

const isSignal = ({ event }) => event !== null && event.startsWith("call:");

function isAbout({ call, users }, about) {
  return about === "" || [call, ...users].some((id) => id?.startsWith(about));
}
