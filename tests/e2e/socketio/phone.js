// One phone with an unmodified socket.io-client: commands come in on stdin and reports go out on
// stdout, a line of JSON each.
//
//   node phone.js MODULES PACKAGE     e.g. .node/package.json socket.io-client-2
//
// Commands:
//   {"do": "connect", "url": …, "options": {…}, "events": ["call:cancelled", …]}
//   {"do": "emit", "event": …, "data": …, "ack": 7}      without "ack" there is no callback
//   {"do": "disconnect"}
// The url's path is the namespace. "emit" and "disconnect" take a "namespace", which is "/" unless
// they say otherwise.
//
// Reports, each with its "namespace":
//   {"what": "connected"}
//   {"what": "refused", "detail": MESSAGE}             by the server, in a packet
//   {"what": "unreachable", "detail": MESSAGE}         the connection did not open, or broke
//   {"what": "disconnected", "detail": REASON}
//   {"what": "reconnecting", "detail": ATTEMPT}
//   {"what": "event", "name": …, "detail": [ARGUMENTS]}
//   {"what": "ack", "ack": 7, "detail": [ARGUMENTS]}
"use strict";

const { createRequire } = require("node:module");
const { createInterface } = require("node:readline");

const [modules, name] = process.argv.slice(2);
const io = createRequire(modules)(name);
const sockets = new Map();

function report(fields) {
  process.stdout.write(JSON.stringify(fields) + "\n");
}

function connect({ url, options, events }) {
  const namespace = new URL(url).pathname;
  const isFirst = sockets.size === 0;
  const socket = io(url, options);
  sockets.set(namespace, socket);
  const tell = (what, detail) => report({ what, namespace, detail });
  const fail = (error) => {
    const text = typeof error === "string" ? error : error.message;
    tell(isOfTheConnection(error) ? "unreachable" : "refused", text);
  };
  socket.on("connect", () => tell("connected"));
  socket.on("connect_error", fail);
  socket.on("error", fail); // version 2 tells so what the server refuses
  socket.on("disconnect", (reason) => tell("disconnected", reason));
  for (const event of events) {
    socket.on(event, (...detail) => report({ what: "event", namespace, name: event, detail }));
  }
  if (isFirst) {
    // All sockets share one connection, and so one manager.
    socket.io.on("reconnect_attempt", (attempt) => tell("reconnecting", attempt));
  }
}

// What the server has said itself comes as a string (version 2) or as a plain Error.
function isOfTheConnection(error) {
  return error.type === "TransportError" || error.message === "timeout";
}

function emit({ namespace = "/", event, data, ack }) {
  const socket = sockets.get(namespace);
  if (ack === undefined) {
    socket.emit(event, data);
  } else {
    socket.emit(event, data, (...detail) => report({ what: "ack", namespace, ack, detail }));
  }
}

function disconnect({ namespace = "/" }) {
  sockets.get(namespace).disconnect();
}

const commands = { connect, emit, disconnect };
const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => {
  const command = JSON.parse(line);
  commands[command.do](command);
});
// Whoever started us is done with us, or dead.
lines.on("close", () => process.exit());
