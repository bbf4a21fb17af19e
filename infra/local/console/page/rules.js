// What a call is to the phone that has it. Pure: no clock, no network, no page.
//
// A call: {id, peer, phase, says, asks, ringToken}. `phase` is "calling" (I call, it rings there),
// "ringing" (it rings here), "talking" or "over"; `says` is what it looks like to its user, and
// `asks` the signal that has no verdict yet.

// These have no prototype: an event may have any name, "toString" too.
const PUSHED = { __proto__: null, incoming_call: "call:incoming", call_cancelled: "call:cancelled", call_rejected: "call:rejected" };

/** The event that a push stands for. */
export const eventOf = (push) => PUSHED[push.type] ?? push.type;

const CAUSES = {
  __proto__: null,
  caller_cancelled: "Missed: the caller gave up",
  caller_gone: "Missed: the caller has gone",
  timeout: "Missed: nobody answered",
  answered_elsewhere: "Answered on another device",
  rejected_elsewhere: "Declined on another device",
  rejected: "The call is off",
};

const over = (call, says) => ({ ...call, phase: "over", says, asks: null });
const talking = (call) => ({ ...call, phase: "talking", says: "In a call", asks: null });

const ENDS = {
  __proto__: null,
  "call:cancelled": (call, { cause }) => over(call, CAUSES[cause ?? "caller_cancelled"] ?? "Missed call"),
  "call:rejected": (call) => over(call, "Declined"),
  "call:timeout": (call) => over(call, "No answer"),
  "call:busy": (call) => over(call, "Busy"),
  "call:ended": (call) => over(call, "The other one hung up"),
};
// In which phases an event is news.
const NEWS = {
  __proto__: null,
  "call:cancelled": ["ringing"],
  "call:rejected": ["calling"],
  "call:timeout": ["calling"],
  "call:busy": ["calling"],
  "call:ended": ["calling", "talking"],
  "call:accepted": ["calling"],
};

/** Whether an event is the end of its call, which then may not ring any more. */
export const ends = (event) => event in ENDS;

export const isOn = (call) => call !== null && call.phase !== "over";

/**
 * What an event, heard by a socket or by FCM, makes of the call, and what it does in words.
 * `ended` has the ids of calls that are over, none of which may ring any more.
 */
export function hear(call, ended, event, data) {
  if (event === "call:incoming") return rings(call, ended, data);
  if (!(event in NEWS)) return { call, effect: "" };
  if (!call || call.id !== data?.callId) return { call, effect: "of another call: stops nothing" };
  if (!NEWS[event].includes(call.phase)) return { call, effect: "nothing new" };
  if (event === "call:accepted") return { call: talking(call), effect: "they talk" };
  return { call: ENDS[event](call, data), effect: call.phase === "talking" ? "ends the call" : "stops the ring" };
}

function rings(call, ended, { callId, callerId, ringToken } = {}) {
  if (!callId) return { call, effect: "of no call: does not ring" };
  if (call?.id === callId && isOn(call)) {
    // Of a ring that came by the socket first, the push brings the token.
    return { call: { ...call, ringToken: call.ringToken ?? ringToken }, effect: "nothing new" };
  }
  if (ended.has(callId)) return { call, effect: "over already: does not ring" };
  if (isOn(call)) return { call, effect: "in another call: does not ring" };
  const peer = String(callerId);
  return { call: { id: callId, peer, phase: "ringing", says: "Incoming call", asks: null, ringToken }, effect: "rings" };
}

/** The ring is over, and nobody has said so. */
export const unanswered = (call) => over(call, call.phase === "ringing" ? "Missed: the ring was over" : "No answer");

const UNDONE = {
  __proto__: null,
  busy: "Busy",
  already_cancelled: "The caller had given up",
  already_missed: "The ring was over",
  already_ended: "The call was over",
};

const DONE = {
  "call:initiate": (call) => ({ ...call, says: "Ringing there", asks: null }),
  "call:cancel": (call) => over(call, "You gave up"),
  "call:reject": (call) => over(call, "You declined"),
  "call:accept": talking,
  "call:end": (call) => over(call, "You hung up"),
};

/** What a verdict on a signal of ours makes of the call. */
export function judged(call, signal, { ok, outcome, message }) {
  if (ok) return DONE[signal](call);
  if (outcome === "unavailable") return { ...call, asks: null }; // it may be asked again
  if (outcome === "already_accepted") {
    // Whoever cancels too late is in a call, and whoever accepts too late is not.
    return signal === "call:cancel" ? talking(call) : over(call, "Answered on another device");
  }
  if (outcome === "already_rejected") {
    return over(call, signal === "call:cancel" ? "Declined" : "Declined on another device");
  }
  // A cancel that finds no call has overtaken it: the call that comes will not ring.
  if (outcome === "not_found" && signal === "call:cancel") return over(call, "You gave up");
  const why = UNDONE[outcome] ?? `Refused: ${message ?? outcome}`;
  return over(call, why);
}

/** Which buttons make sense. */
export function actions({ app, isOpen, call, user, peer }) {
  const is = (phase) => call?.phase === phase && call.asks === null;
  const isThere = app === "open" && isOpen;
  return {
    call: isThere && !isOn(call) && peer !== "" && peer !== user,
    accept: is("ringing") && app !== "offline",
    decline: is("ringing") && app !== "offline",
    // It need not wait for the verdict on the initiate.
    cancel: call?.phase === "calling" && call.asks !== "call:cancel" && isThere,
    end: is("talking") && isThere,
  };
}
