// One phone: its app, its line and its call. A client like any other, which has nothing but the wire.

import * as api from "./api.js";
import { Line } from "./line.js";
import { actions, ends, eventOf, hear, judged, unanswered } from "./rules.js";
import { now } from "./times.js";

const LOG_LENGTH = 40;
const FIRST_PAUSE_MS = 1_000; // before a signal is sent again, and then twice as long each time
const LAST_PAUSE_MS = 16_000;
const OPEN_MS = 3_000; // that a line may take to open
const PUSH_LIFE_MS = 30_000; // for which FCM keeps what does not say how long it is good for
const RING_MS = 30_000; // for which it rings if nobody has said until when
const GRACE_MS = 5_000; // in which the server may say that nobody has answered

export class Phone extends EventTarget {
  app = "open"; // open, offline, killed
  call = null;
  log = []; // newest first: {key, at, channel, title, effect, since}
  peer = ""; // whom the button calls
  #stack;
  #signals;
  #line;
  #timer;
  #signal = null; // {event, id}: the signal that waits for its verdict
  #registration;
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
    this.#giveUp();
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
    this.#giveUp();
    this.#enter("offline", "no network any more");
    this.#line.stop();
  }

  /** What it has in memory is lost. A ring is the system's, and goes on. */
  kill() {
    this.#giveUp();
    if (this.call && this.call.phase !== "ringing") {
      this.#ended.add(this.call.id);
      this.#set(null);
    }
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
    this.#giveUp();
    if (this.link === "open") await this.#line.emit("device:unregister", { token: this.token });
    this.#line.stop();
    this.#set(null);
  }

  initiate(callId) {
    this.#set({ id: callId, peer: this.peer, phase: "calling", says: "Calling", asks: null });
    this.#endIn(RING_MS + GRACE_MS);
    return this.#send(this.#begin("call:initiate"), { receiverId: this.peer, callType: "AUDIO" });
  }

  cancel() {
    return this.#send(this.#begin("call:cancel"));
  }

  end() {
    return this.#send(this.#begin("call:end"));
  }

  accept() {
    return this.#answer("call:accept");
  }

  /** From the lock screen it is declined by the token that the ring's push has brought. */
  decline() {
    if (this.app === "killed" && this.call.ringToken) return this.#declineByRingToken();
    return this.#answer("call:reject");
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
    const line = this.#line;
    const registration = (this.#registration = {});
    const goesOn = () => this.#registration === registration && line === this.#line && line.state === "open";
    const entry = this.#note({ channel: "app", title: "device:register", effect: "…" });
    await this.#repeat(entry, () => line.emit("device:register", data), goesOn);
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

  /**
   * It asks nobody by HTTPS whether a ring still rings (docs/phones.md, "Look once"): this page shows
   * what comes by itself.
   */
  #hear(channel, title, event, data, at) {
    const ringMs = event === "call:incoming" ? ringEnds(data) - now() : null;
    const isLate = ringMs !== null && ringMs <= 0;
    if (isLate || ends(event)) this.#ended.add(data?.callId);
    const { call, effect } = hear(this.call, this.#ended, event, data);
    this.#note({ at, channel, title, effect: effect || words(data), since: this.#since({ data, at }) });
    const begins = ringMs !== null && effect === "rings";
    this.#set(call);
    if (begins) this.#endIn(ringMs);
  }

  /** Nothing else ends the ring of a phone that loses its network. */
  #endIn(ms) {
    clearTimeout(this.#timer);
    const { id, phase } = this.call;
    this.#timer = setTimeout(() => {
      if (this.call?.id === id && this.call.phase === phase) this.#set(unanswered(this.call));
    }, ms);
  }

  /** One signal at a time waits for its verdict: that of before is sent no more. */
  #begin(event) {
    const signal = { event, id: this.call.id };
    this.#signal = signal;
    this.#set({ ...this.call, asks: event });
    return signal;
  }

  /** Whether a signal is still to be sent: nothing else has been decided meanwhile. */
  #goesOn(signal) {
    return this.#signal === signal && this.call?.id === signal.id && this.call.asks === signal.event;
  }

  /** Its user may ask again once it is back. */
  #giveUp() {
    this.#signal = null;
    if (this.call?.asks) this.#set({ ...this.call, asks: null });
  }

  /** Answers a ring. While the app wakes, the ring may end, or the phone lose its network. */
  async #answer(event) {
    const signal = this.#begin(event);
    await this.#awake();
    if (this.#goesOn(signal)) await this.#send(signal);
  }

  async #send(signal, more = {}) {
    const line = this.#line; // that of the user who asks: another may sign in meanwhile
    const data = { callId: signal.id, deviceId: this.device, ...more };
    await this.#judge(signal, () => line.emit(signal.event, data));
  }

  async #declineByRingToken() {
    const { ringToken } = this.call;
    const signal = this.#begin("call:reject");
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
      return line.emit("call:reject", { callId: signal.id });
    };
    await this.#judge(signal, emit, "by the ring token: ");
    line.stop();
  }

  /** Sends a signal until there is a verdict, and makes of the call what it says. */
  async #judge(signal, emit, how = "") {
    const { event, id } = signal;
    const at = now();
    this.#signals.sent(id, event, at);
    const entry = this.#note({ at, channel: "sent", title: event, effect: `${how}…` });
    const verdict = await this.#repeat(entry, emit, () => this.#goesOn(signal), how);
    entry.since = { ms: now() - at, event };
    const isCalling = this.call?.id === id && this.call.phase === "calling";
    if (isCalling && verdict.ringsUntil) this.#endIn(verdict.ringsUntil - now() + GRACE_MS);
    if (this.#goesOn(signal)) this.#set(judged(this.call, event, verdict));
    else this.#changed();
  }

  /** Sends until there is a verdict, which it gives: a repeat is safe. */
  async #repeat(entry, emit, goesOn, how = "") {
    for (let pause = FIRST_PAUSE_MS; ; pause *= 2) {
      const verdict = await emit();
      const again = verdict.outcome === "unavailable" && pause <= LAST_PAUSE_MS && goesOn();
      entry.effect = `${how}${verdict.outcome}${again ? `, sent again in ${pause / 1000} s` : ""}`;
      this.#changed();
      if (!again) return verdict;
      await after(pause);
      if (goesOn()) continue;
      entry.effect = `${how}${verdict.outcome}`;
      return verdict;
    }
  }

  #since({ data, at }) {
    return data?.callId ? this.#signals.since(data.callId, at) : null;
  }

  #set(call) {
    if (call?.phase === "over") this.#ended.add(call.id);
    if (!["ringing", "calling"].includes(call?.phase)) clearTimeout(this.#timer);
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

/** Until when it rings, in Unix milliseconds. */
const ringEnds = (data) => Number(data?.expiresAt ?? data?.ringsUntil) || now() + RING_MS;

const after = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const words = (data) => data?.outcome ?? data?.reason ?? "";
