// What the page's modules have around them here: sockets that a check answers, and a clock that it turns.

import { afterEach, beforeEach, mock } from "node:test";

import { json } from "./jsonwire.js";
import { Phone } from "./phone.js";
import { Signals } from "./times.js";

export class Socket {
  static all = [];
  frames = [];

  constructor(url, subprotocols) {
    Object.assign(this, { url, subprotocols });
    Socket.all.push(this);
  }

  /** The one that was made last. */
  static get last() {
    return Socket.all.at(-1);
  }

  send(text) {
    this.frames.push(text.startsWith("{") ? JSON.parse(text) : text);
  }

  close() {}

  says(frame) {
    this.onmessage({ data: typeof frame === "string" ? frame : JSON.stringify(frame) });
    return settled();
  }

  tells(event, data) {
    return this.says({ event, data });
  }

  /** Answers the latest frame of an event. */
  answers(event, verdict) {
    const { id } = this.frames.findLast((frame) => frame.event === event);
    return this.says({ event: "ack", id, data: verdict });
  }

  opens() {
    this.onopen();
    return settled();
  }
}

/** Of all sockets, how many frames of an event were sent. */
export const sent = (event) => Socket.all.flatMap(({ frames }) => frames).filter((frame) => frame.event === event).length;

/** Waits until all that can happen has happened. */
export const settled = () => new Promise((resolve) => setImmediate(resolve));

/** Turns the clock. */
export async function passes(seconds) {
  for (let second = 0; second < seconds; second += 1) {
    mock.timers.tick(1_000);
    await settled();
  }
}

export const answer = (body) => async () => ({ ok: true, json: async () => body });

/** A phone of bob's, whose line is asked for and not open yet. */
export async function phone({ wire = json } = {}) {
  const stack = { websocket: "ws://stack.example/dev", socketio: "http://stack.example" };
  const made = new Phone({ title: "A phone", user: "bob", device: "D", token: "T", wire, stack, signals: new Signals() });
  made.calls("alice");
  await settled();
  return made;
}

/** A phone of bob's that is connected and registered. */
export async function connected() {
  const made = await phone();
  await Socket.last.opens();
  await Socket.last.answers("device:register", { ok: true, outcome: "registered" });
  return made;
}

/** A push that FCM brings now, of a ring that ends in some seconds. */
export const ring = (callId, seconds = 30) => ({
  type: "incoming_call",
  at: Date.now(),
  data: { callId, callerId: "alice", sentAt: String(Date.now()), expiresAt: String(Date.now() + seconds * 1_000) },
});

export const cancelled = (callId) => ({ type: "call_cancelled", at: Date.now(), data: { callId } });

export const UNAVAILABLE = { ok: false, outcome: "unavailable" };

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_700_000_000_000 });
  Socket.all = [];
  globalThis.WebSocket = Socket;
  globalThis.fetch = answer({ token: "bobs.token" });
});

afterEach(() => mock.timers.reset());
