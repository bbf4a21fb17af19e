"use strict";
// The Socket.IO server that the request has in mind, with its snippet for call:cancel carried out as
// it stands there: it writes, reads, tells the receiver's socket, and sends the FCM message. It has
// no outbox and no retries, and checks neither who cancels nor what became of the call meanwhile.
//
// It runs in one process that must never stop, as it keeps in memory which socket is whose.

const { createServer } = require("node:http");
const { Firestore } = require("@google-cloud/firestore");
const { Server } = require("socket.io");

const { FCM_URL, GOOGLE_CLOUD_PROJECT, PORT } = process.env;
const MESSAGES = `${FCM_URL}/v1/projects/${GOOGLE_CLOUD_PROJECT}/messages:send`;

const firestore = new Firestore({ projectId: GOOGLE_CLOUD_PROJECT });
const calls = firestore.collection("calls");
const users = firestore.collection("users");
const sockets = new Map(); // of each user, the id of his socket

const server = createServer((_, answer) => answer.end("ok"));
const io = new Server(server, { transports: ["websocket"] });

io.use((socket, next) => {
  const userId = userOf(socket.handshake.auth.token);
  if (!userId) return next(new Error("unauthenticated"));
  socket.data.userId = userId;
  next();
});

io.on("connection", (socket) => {
  const { userId } = socket.data;
  sockets.set(userId, socket.id);
  socket.on("disconnect", () => {
    if (sockets.get(userId) === socket.id) sockets.delete(userId);
  });
  socket.on("call:cancel", async ({ callId, reason }, answer) => {
    console.log(`Received call:cancel of ${callId}`);
    await calls.doc(callId).update({ status: "cancelled" });
    const call = (await calls.doc(callId).get()).data();
    await notify(call, callId, reason);
    answer?.({ ok: true });
  });
});

async function notify(call, callId, reason) {
  const socketId = sockets.get(call.receiverId);
  if (socketId) {
    const data = { callId, reason: reason ?? "Caller cancelled", timestamp: Date.now() };
    io.to(socketId).emit("call:cancelled", data);
    console.log(`Sent call:cancelled to ${call.receiverId}`);
  }
  const token = (await users.doc(call.receiverId).get()).get("fcmToken");
  if (token) {
    await push(token, { type: "call_cancelled", callId, callerId: call.callerId });
    console.log(`Sent call_cancelled by FCM to ${call.receiverId}`);
  }
}

// Node's own client takes less than the SDK's, whose messages can't be sent to another address.
async function push(token, data) {
  const message = { token, data, android: { priority: "high" } };
  const answer = await fetch(MESSAGES, {
    method: "POST",
    headers: { authorization: "Bearer local", "content-type": "application/json" },
    body: JSON.stringify({ message }),
  });
  if (!answer.ok) throw new Error(`FCM answered ${answer.status}`);
  await answer.arrayBuffer(); // so that the connection is free for the next
}

// As the local stack does, it takes tokens that nobody has signed.
function userOf(token) {
  try {
    return JSON.parse(Buffer.from(token.split(".")[1], "base64url")).sub;
  } catch {
    return undefined;
  }
}

server.listen(Number(PORT), "127.0.0.1");
