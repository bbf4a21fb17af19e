// What a call becomes by what is heard of it.

import assert from "node:assert/strict";
import { test } from "node:test";

import { actions, ends, eventOf, hear, judged } from "./rules.js";

const calling = { id: "CALL_1", peer: "bob", phase: "calling", says: "Calling", asks: null };
const none = new Set();

test("an event of no call is nothing to a phone that has none", () => {
  for (const data of [{}, undefined]) assert.equal(hear(null, none, "call:cancelled", data).call, null);
});

test("a ring of no call does not ring", () => {
  for (const data of [{}, undefined]) assert.equal(hear(null, none, "call:incoming", data).call, null);
});

test("an event may be called as what every object has", () => {
  for (const event of ["toString", "constructor", "__proto__"]) {
    assert.deepEqual(hear(calling, none, event, { callId: "CALL_1" }), { call: calling, effect: "" });
    assert.equal(ends(event), false);
    assert.equal(eventOf({ type: event }), event);
  }
});

test("a cause or an outcome may be called so, too", () => {
  const ringing = { ...calling, phase: "ringing" };
  assert.equal(hear(ringing, none, "call:cancelled", { callId: "CALL_1", cause: "toString" }).call.says, "Missed call");
  assert.equal(judged(calling, "call:initiate", { ok: false, outcome: "toString" }).says, "Refused: toString");
});

test("whose cancel has overtaken the call has given up", () => {
  assert.equal(judged(calling, "call:cancel", { ok: false, outcome: "not_found" }).says, "You gave up");
});

test("a call can be given up whatever it waits for, but for a cancel", () => {
  const can = (asks) => actions({ app: "open", isOpen: true, call: { ...calling, asks }, user: "a", peer: "b" }).cancel;
  assert.deepEqual([null, "call:initiate", "call:cancel"].map(can), [true, true, false]);
});
