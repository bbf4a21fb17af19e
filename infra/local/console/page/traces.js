// The traces that the stack has told of, and the one that is shown.

import * as api from "./api.js";
import { drawing } from "./dom.js";

const KEPT = 200; // as many as the server keeps
const NOT_KEPT = `This trace is not kept any more: the console keeps the latest ${KEPT}.`;

/** Tells of all that has changed by one event "change" a frame. */
export class Traces extends EventTarget {
  about = ""; // a user's or a call's id, or the beginning of one
  follows = true; // whether the newest is shown as it comes
  hasAll = false; // also those that are no signal of a client's
  selected = null; // an id
  problem = null; // why the one that is selected can't be shown
  #traces = new Map();
  #spans = new Map(); // of the selected trace, by id
  #loaded = null; // the id of the trace whose spans were asked for
  #changed = drawing(() => this.#settle());

  /** A snapshot follows: what is not in it is gone. */
  begin() {
    this.#traces.clear();
    this.#forget();
    this.#changed();
  }

  /** Those that are asked for, newest first. Whoever searches means all that there are. */
  get listed() {
    const isAsked = (trace) => this.about !== "" || this.hasAll || isSignal(trace);
    return [...this.#traces.values()]
      .filter((trace) => isAsked(trace) && isAbout(trace, this.about))
      .sort((a, b) => b.started - a.started);
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
    this.#changed();
  }

  span(span) {
    if (span.trace !== this.#loaded) return;
    this.#spans.set(span.id, span);
    this.#changed();
  }

  /** Shows one, and follows no more. */
  choose(id) {
    this.follows = false;
    this.selected = id;
    this.#changed();
  }

  ask(asked) {
    Object.assign(this, asked);
    this.#changed();
  }

  /** Selects and loads once a frame: a snapshot has hundreds of traces, and only one is shown. */
  #settle() {
    if (this.follows) this.selected = this.listed[0]?.id ?? null;
    if (this.selected !== this.#loaded) {
      this.#forget();
      this.#loaded = this.selected;
      if (this.selected !== null) this.#load(this.selected);
    }
    this.dispatchEvent(new Event("change"));
  }

  #forget() {
    this.#loaded = null;
    this.#spans.clear();
    this.problem = null;
  }

  async #load(id) {
    try {
      const { spans } = await api.trace(id);
      if (id !== this.#loaded) return;
      // What came live meanwhile is newer.
      for (const span of spans) if (!this.#spans.has(span.id)) this.#spans.set(span.id, span);
    } catch (error) {
      if (id !== this.#loaded) return;
      this.problem = error.status === api.NOT_FOUND ? NOT_KEPT : `This trace can't be shown: ${error.message}`;
    }
    this.#changed();
  }

  #dropOldest() {
    const oldest = [...this.#traces.values()].reduce((a, b) => (a.started <= b.started ? a : b));
    this.#traces.delete(oldest.id);
    if (oldest.id === this.selected) this.#forget();
  }
}

const isSignal = ({ event }) => event !== null && event.startsWith("call:");

function isAbout({ call, users }, about) {
  return about === "" || [call, ...users].some((id) => id?.startsWith(about));
}
