// Clients that all emit one event and disconnect, in the same tick, as soon as all are connected.
//
//   node farewell.js MODULES PACKAGE URL CLIENTS
//
// CLIENTS is JSON: [{"options": {…}, "event": …, "data": …}, …], each with a connection of its own.
"use strict";

const { createRequire } = require("node:module");

const [modules, name, url, clients] = process.argv.slice(2);
const io = createRequire(modules)(name);

const connecting = JSON.parse(clients).map(({ options, event, data }) => {
  const socket = io(url, { ...options, forceNew: true, reconnection: false });
  const leave = () => {
    socket.emit(event, data);
    socket.disconnect();
  };
  return new Promise((connected, failed) => {
    socket.on("connect", () => connected(leave));
    socket.on("connect_error", failed);
    socket.on("error", failed); // version 2 tells so what the server refuses
  });
});
Promise.all(connecting).then((goodbyes) => goodbyes.forEach((leave) => leave()));
