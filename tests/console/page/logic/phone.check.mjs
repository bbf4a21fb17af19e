// The logic of a phone: its signals, its rings and its line.

import assert from "node:assert/strict";
import { test } from "node:test";

import { socketio } from "./socketiowire.js";
import { answer, cancelled, connected, passes, phone, ring, sent, settled, Socket, UNAVAILABLE } from "./world.mjs";

const later = (seconds) => Date.now() + seconds * 1_000;

/** A killed phone whose user has accepted a ring on the lock screen: its app wakes. */
async function waking() {
  const bob = await connected();
  bob.kill();
  bob.push(ring("CALL_1"));
  return { bob, accepting: bob.accept() };
}

test("a call that rings once the app is awake is not accepted in the place of one that is over", async () => {
  const { bob } = await waking();
  await settled();
  bob.push(cancelled("CALL_1"));
  bob.push(ring("CALL_2"));
  await Socket.last.opens();
  assert.equal(sent("call:accept"), 0);
  assert.equal(bob.call.id, "CALL_2");
  assert.ok(bob.actions.accept);
});

test("a call that is over once the app is awake is not accepted", async () => {
  const { bob } = await waking();
  await settled();
  bob.push(cancelled("CALL_1"));
  await Socket.last.opens();
  assert.equal(sent("call:accept"), 0);
  assert.equal(bob.call.phase, "over");
});

test("a call is accepted once the app is awake", async () => {
  const { bob } = await waking();
  await settled();
  await Socket.last.opens();
  await Socket.last.answers("call:accept", { ok: true, outcome: "accepted" });
  assert.equal(bob.call.phase, "talking");
});

test("who has accepted while the app wakes can't decline too", async () => {
  const { bob } = await waking();
  assert.deepEqual([bob.actions.accept, bob.actions.decline], [false, false]);
});

test("another user may sign in while the app wakes", async () => {
  const { bob, accepting } = await waking();
  bob.become({ user: "carol" });
  await settled();
  await Socket.last.opens();
  await accepting;
  assert.equal(sent("call:accept"), 0);
});

test("who loses his network while the app wakes may answer again", async () => {
  const { bob } = await waking();
  bob.offline();
  bob.open();
  await settled();
  await Socket.last.opens();
  assert.equal(sent("call:accept"), 0);
  assert.ok(bob.actions.accept);
});

test("a signal is sent again until there is a verdict", async () => {
  const bob = await connected();
  bob.initiate("CALL_1");
  await Socket.last.answers("call:initiate", UNAVAILABLE);
  await passes(1);
  assert.equal(sent("call:initiate"), 2);
  await Socket.last.answers("call:initiate", { ok: true, outcome: "ringing", ringsUntil: later(30) });
  assert.equal(bob.call.says, "Ringing there");
});

test("a signal is not sent again by another user", async () => {
  const bob = await connected();
  bob.initiate("CALL_1");
  await Socket.last.answers("call:initiate", UNAVAILABLE);
  bob.become({ user: "carol" });
  await settled();
  await Socket.last.opens();
  await passes(20);
  assert.equal(sent("call:initiate"), 1);
});

test("an app that was killed sends nothing again once it is opened", async () => {
  const bob = await connected();
  bob.push(ring("CALL_1"));
  bob.accept();
  await settled();
  await Socket.last.answers("call:accept", UNAVAILABLE);
  bob.kill();
  bob.open();
  await settled();
  await Socket.last.opens();
  await passes(20);
  assert.equal(sent("call:accept"), 1);
  assert.ok(bob.actions.accept);
});

test("a caller's call ends even if he is told nothing", async () => {
  const bob = await connected();
  bob.initiate("CALL_1");
  await Socket.last.answers("call:initiate", { ok: true, outcome: "ringing", ringsUntil: later(60) });
  await passes(59);
  assert.equal(bob.call.phase, "calling");
  await passes(10);
  assert.deepEqual([bob.call.phase, bob.call.says], ["over", "No answer"]);
});

test("a caller's call ends even if its signal never has a verdict", async () => {
  const bob = await connected();
  bob.initiate("CALL_1");
  bob.offline();
  await passes(60);
  assert.equal(bob.call.phase, "over");
});

test("a killed app remembers no call that it has made", async () => {
  const bob = await connected();
  bob.initiate("CALL_1");
  bob.kill();
  assert.equal(bob.call, null);
});

test("a killed app still rings", async () => {
  const bob = await connected();
  bob.push(ring("CALL_1"));
  bob.kill();
  assert.equal(bob.call.phase, "ringing");
});

test("a call is given up before it is known that it rings", async () => {
  const bob = await connected();
  bob.initiate("CALL_1");
  assert.ok(bob.actions.cancel);
  bob.cancel();
  assert.ok(!bob.actions.cancel);
  await Socket.last.answers("call:initiate", { ok: true, outcome: "ringing", ringsUntil: later(30) });
  assert.ok(!bob.actions.cancel);
  await Socket.last.answers("call:cancel", { ok: true, outcome: "cancelled" });
  assert.equal(bob.call.says, "You gave up");
});

test("a call that was given up is not initiated again", async () => {
  const bob = await connected();
  bob.initiate("CALL_1");
  await Socket.last.answers("call:initiate", UNAVAILABLE);
  bob.cancel();
  await passes(5);
  assert.equal(sent("call:initiate"), 1);
});

test("a verdict that comes after its event changes nothing", async () => {
  const bob = await connected();
  bob.initiate("CALL_1");
  await Socket.last.tells("call:accepted", { callId: "CALL_1" });
  await Socket.last.answers("call:initiate", { ok: true, outcome: "ringing", ringsUntil: later(30) });
  assert.equal(bob.call.says, "In a call");
});

test("a ring lasts no longer than its call, however late it came", async () => {
  const bob = await connected();
  bob.offline();
  bob.push(ring("CALL_1", 30));
  await passes(20);
  bob.open();
  assert.equal(bob.call.phase, "ringing");
  await passes(11);
  assert.equal(bob.call.phase, "over");
});

test("a push whose ring is over does not ring", async () => {
  const bob = await connected();
  bob.push(ring("CALL_1", -1));
  assert.equal(bob.call, null);
  assert.equal(bob.log[0].effect, "over already: does not ring");
});

test("a ring of which nobody says until when ends all the same", async () => {
  const bob = await connected();
  await Socket.last.tells("call:incoming", { callId: "CALL_1", callerId: "alice" });
  assert.equal(bob.call.phase, "ringing");
  await passes(60);
  assert.equal(bob.call.phase, "over");
});

test("a device is registered again until there is a verdict", async () => {
  const bob = await phone();
  await Socket.last.opens();
  await Socket.last.answers("device:register", UNAVAILABLE);
  await passes(1);
  assert.equal(sent("device:register"), 2);
  await Socket.last.answers("device:register", { ok: true, outcome: "registered" });
  assert.equal(bob.log[0].effect, "registered");
});

test("a device is registered by its latest line alone", async () => {
  const bob = await phone();
  await Socket.last.opens();
  await Socket.last.answers("device:register", UNAVAILABLE);
  bob.offline();
  bob.open();
  await settled();
  await Socket.last.opens();
  await passes(1);
  assert.equal(sent("device:register"), 2);
});

test("a phone says why it has no token", async () => {
  const bob = await connected();
  globalThis.fetch = async () => ({ ok: false, json: async () => ({ error: "no such user" }) });
  let seen = null;
  bob.addEventListener("change", () => (seen = bob.refusal));
  bob.become({ user: "carol" });
  await settled();
  assert.equal(seen, "no such user");
  globalThis.fetch = answer({ token: "carols.token" });
  await passes(1);
  await Socket.last.opens();
  assert.equal(seen, null);
});

test("a phone says why Socket.IO does not let it in", async () => {
  const bob = await phone({ wire: socketio });
  let seen = null;
  bob.addEventListener("change", () => (seen = bob.refusal));
  await Socket.last.says('44{"message":"the token has expired"}');
  assert.equal(seen, "the token has expired");
});

test("a user's token is in no address", async () => {
  await phone();
  assert.ok(!Socket.last.url.includes("bobs.token"));
  assert.deepEqual(Socket.last.subprotocols, ["unring", "bearer.bobs.token"]);
});
