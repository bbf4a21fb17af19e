// One phone: its app, its line and its call. A client like any other, which has nothing but the wire.

import * as api from "./api.js";
import { Line } from "./line.js";
import { actions, ends, eventOf, hear, isOn, judged } from "./rules.js";
import { now } from "./times.js";

const LOG_LENGTH = 40;
const FIRST_PAUSE_MS = 1_000; // before a signal is sent again, and then twice as long each time
const LAST_PAUSE_MS = 16_000;
const OPEN_MS = 3_000; // that a line may take to open
const PUSH_LIFE_MS = 30_000; // for which FCM keeps what does not say how long it is good for

export class Phone extends EventTarget {
  app = "open"; // open, offline, killed
  call = null;
  log = []; // newest first: {key, at, channel, title, effect, since}
  peer = ""; // whom the button calls
  #stack;
  #signals;
  #line;
  #timer;
  #held = []; // pushes that FCM keeps while the phone is offline
  #ended = new Set(); // calls that are over: tombstones
  #keys = 0;
  #opened = [];

  /** `device` names it towards the server, and `token` is its FCM registration token. */
  constructor({ title, user, device, token, wire, stack, signals }) {
    super();
    Object.assign(this, { title, user, device, token, wire });
    this.#stack = stack;
    this.#signals = signals;
    this.#connect();
  }

  get link() {
    return this.#line.state;
  }

  get refusal() {
    return this.#line.refusal;
  }

  get actions() {
    return actions({ app: this.app, isOpen: this.link === "open", call: this.call, user: this.user, peer: this.peer });
  }

  get held() {
    return this.#held.length;
  }

  /** Another user signs in, or the app speaks another wire: it begins anew. */
  become({ user = this.user, wire = this.wire }) {
    if (user === this.user && wire === this.wire) return;
    if (user !== this.user) this.#set(null);
    Object.assign(this, { user, wire });
    this.#line.stop();
    this.#connect();
  }

  /** Whom its button calls. */
  calls(peer) {
    this.peer = peer;
    this.#changed();
  }

  offline() {
    this.#enter("offline", "no network any more");
    this.#line.stop();
  }

  kill() {
    this.#enter("killed", "swept away by its user");
    this.#line.stop();
  }

  /** The app is opened again, or has a network again. */
  open() {
    if (this.app === "open") return;
    const wasOffline = this.app === "offline";
    this.#enter("open", wasOffline ? "the network is back" : "opened again");
    this.#line.start();
    if (wasOffline) this.#takeHeld();
  }

  /** The phone is thrown away: the server forgets it. */
  async remove() {
    if (this.link === "open") await this.#line.emit("device:unregister", { token: this.token });
    this.#line.stop();
    this.#set(null);
  }

  initiate(callId) {
    this.#set({ id: callId, peer: this.peer, phase: "calling", says: "Calling", asks: null });
    return this.#signal("call:initiate", { receiverId: this.peer, callType: "AUDIO" });
  }

  cancel() {
    return this.#signal("call:cancel");
  }

  end() {
    return this.#signal("call:end");
  }

  async accept() {
    await this.#awake();
    return this.#signal("call:accept");
  }

  /** From the lock screen it is declined by the token that the ring's push has brought. */
  async decline() {
    if (this.app === "killed" && this.call.ringToken) return this.#declineByRingToken();
    await this.#awake();
    return this.#signal("call:reject");
  }

  /** Takes what FCM brings; while the phone is offline FCM keeps it. */
  push(push) {
    if (this.app === "offline") {
      this.#held.push(push);
      this.#note({ at: push.at, channel: "fcm", title: push.type, effect: "FCM keeps it: no network", since: this.#since(push) });
    } else this.#hear("fcm", push.type, eventOf(push), push.data, push.at);
  }

  /** It shows its token again, as an app does whenever it starts. */
  async register() {
    const data = { token: this.token, platform: "android", deviceId: this.device };
    const { outcome } = await this.#line.emit("device:register", data);
    this.#note({ channel: "app", title: "device:register", effect: outcome });
  }

  #connect() {
    this.#line = new Line({
      wire: this.wire,
      stack: this.#stack,
      credentials: async () => ({ token: await api.token(this.user), deviceId: this.device }),
      changed: () => this.#lineChanged(),
      heard: (event, data) => this.#hear("socket", event, event, data, now()),
    });
    if (this.app === "open") this.#line.start();
  }

  #lineChanged() {
    if (this.link === "open") {
      this.#note({ channel: "app", title: "connected", effect: `${this.wire.name} as ${this.user}` });
      this.#opened.splice(0).forEach((resolve) => resolve());
      this.register();
    }
    this.#changed();
  }

  async #awake() {
    this.open();
    if (this.link !== "open") await new Promise((resolve) => this.#opened.push(resolve));
  }

  #takeHeld() {
    const at = now();
    for (const push of this.#held.splice(0)) {
      const until = Number(push.data.expiresAt ?? push.at + PUSH_LIFE_MS);
      if (at < until) this.#hear("fcm", push.type, eventOf(push), push.data, at);
    }
  }

  #hear(channel, title, event, data, at) {
    const { call, effect } = hear(this.call, this.#ended, event, data);
    this.#note({ at, channel, title, effect: effect || words(data), since: this.#since({ data, at }) });
    if (ends(event)) this.#ended.add(data.callId);
    const begins = event === "call:incoming" && call !== this.call && effect === "rings";
    this.#set(call);
    if (begins) this.#ringAtMost(ringMs(data));
  }

  /** Nothing else ends the ring of a phone that loses its network. */
  #ringAtMost(ms) {
    clearTimeout(this.#timer);
    if (!(ms > 0)) return;
    const { id } = this.call;
    this.#timer = setTimeout(() => {
      if (this.call?.id !== id || this.call.phase !== "ringing") return;
      this.#ended.add(id);
      this.#set({ ...this.call, phase: "over", says: "Missed: the ring was over" });
    }, ms);
  }

  /** Sends a signal of the call until there is a verdict: a repeat is safe. */
  async #signal(event, more = {}) {
    const { id } = this.call;
    const data = { callId: id, deviceId: this.device, ...more };
    await this.#until(event, id, () => this.#line.emit(event, data), () => this.app === "open");
  }

  async #declineByRingToken() {
    const { id, ringToken } = this.call;
    let opened;
    const isOpen = new Promise((resolve) => (opened = resolve));
    const line = new Line({
      wire: this.wire,
      stack: this.#stack,
      credentials: () => ({ ring: ringToken, deviceId: this.device }),
      changed: () => line.state === "open" && opened(),
      heard: () => {},
    });
    line.start();
    const emit = async () => {
      await Promise.race([isOpen, after(OPEN_MS)]);
      return line.emit("call:reject", { callId: id });
    };
    await this.#until("call:reject", id, emit, () => true, "by the ring token: ");
    line.stop();
  }

  async #until(event, id, emit, goesOn, how = "") {
    this.#set({ ...this.call, asks: event });
    const at = now();
    this.#signals.sent(id, event, at);
    const entry = this.#note({ at, channel: "sent", title: event, effect: `${how}…` });
    for (let pause = FIRST_PAUSE_MS; ; pause *= 2) {
      const verdict = await emit();
      const again = verdict.outcome === "unavailable" && pause <= LAST_PAUSE_MS && goesOn();
      entry.effect = `${how}${verdict.outcome}${again ? `, sent again in ${pause / 1000} s` : ""}`;
      entry.since = { ms: now() - at, event };
      if (again) {
        this.#changed();
        await after(pause);
        continue;
      }
      // Meanwhile an event may have ended it, or another call have begun.
      if (this.call?.id === id && isOn(this.call)) this.#set(judged(this.call, event, verdict));
      else this.#changed();
      return;
    }
  }

  #since({ data, at }) {
    return data?.callId ? this.#signals.since(data.callId, at) : null;
  }

  #set(call) {
    if (call?.phase === "over") this.#ended.add(call.id);
    if (call?.phase !== "ringing") clearTimeout(this.#timer);
    this.call = call;
    this.#changed();
  }

  #enter(app, effect) {
    this.app = app;
    this.#note({ channel: "app", title: { open: "app open", offline: "offline", killed: "app killed" }[app], effect });
  }

  #note({ at = now(), since = null, ...entry }) {
    const noted = { key: ++this.#keys, at, since, ...entry };
    this.log = [noted, ...this.log].slice(0, LOG_LENGTH);
    this.#changed();
    return noted;
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

/** For how long a ring may last, by the server's clock alone. */
function ringMs({ sentAt, expiresAt, timestamp, ringsUntil }) {
  return Number(expiresAt ?? ringsUntil) - Number(sentAt ?? timestamp);
}

const after = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const words = (data) => data?.outcome ?? data?.reason ?? "";
