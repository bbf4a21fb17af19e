// How one of JavaScript's Socket.IO clients writes and reads payloads: questions come in on stdin
// and answers go out on stdout, a line of JSON each.
//
//   node payloads.js MODULES CLIENT     e.g. .node/package.json socket.io-client-2
//
// Questions and answers, in which a packet is a text as it stands in a payload:
//   {"encode": [PACKET, …]}    the payload
//   {"decode": PAYLOAD}        [PACKET, …], or null if it reads an error
"use strict";

const { createRequire } = require("node:module");
const { createInterface } = require("node:readline");

const TYPES = ["open", "close", "ping", "pong", "message", "upgrade", "noop"];

const [modules, client] = process.argv.slice(2);
const parser = parserOf(client);

function parserOf(client) {
  const path = createRequire(modules).resolve(client);
  const engine = createRequire(path).resolve("engine.io-client");
  return createRequire(engine)("engine.io-parser");
}

function packetOf(text) {
  if (!text.startsWith("b")) {
    return { type: TYPES[text[0]], data: text.length > 1 ? text.slice(1) : undefined };
  }
  const data = Buffer.from(text.slice(parser.protocol === 3 ? 2 : 1), "base64");
  return { type: "message", data };
}

function textOf({ type, data = "" }) {
  if (!Buffer.isBuffer(data)) return TYPES.indexOf(type) + data;
  return (parser.protocol === 3 ? "b" + TYPES.indexOf(type) : "b") + data.toString("base64");
}

function encode(packets) {
  let payload;
  const written = (text) => {
    payload = text;
  };
  if (parser.protocol === 3) parser.encodePayload(packets, false, written);
  else parser.encodePayload(packets, written);
  return payload;
}

function decode(payload) {
  if (parser.protocol !== 3) return parser.decodePayload(payload);
  const packets = [];
  parser.decodePayload(payload, (packet) => {
    packets.push(packet);
  });
  return packets;
}

function answer(question) {
  if ("encode" in question) return encode(question.encode.map(packetOf));
  const packets = decode(question.decode);
  return packets.some(({ type }) => type === "error") ? null : packets.map(textOf);
}

createInterface({ input: process.stdin }).on("line", (line) => {
  process.stdout.write(JSON.stringify(answer(JSON.parse(line))) + "\n");
});
