// One app with an unmodified socket.io-client, which does as it is told and reports what comes.
// It runs in Node (phone.js) and in a page of a browser (tests/support/browser_client.py).
//
// Commands:
//   {"do": "connect", "url": …, "options": {…}, "events": ["call:cancelled", …], "emits": […]}
//   {"do": "emit", "event": …, "data": …, "ack": 7}      without "ack" there is no callback
//   {"do": "disconnect"}
// The url's path is the namespace. "emits", which may be left out, are commands of their own that
// are carried out in the same tick, long before the client is connected. "emit" and "disconnect"
// take a "namespace", which is "/" unless they say otherwise.
//
// Reports, each with its "namespace":
//   {"what": "connected"}
//   {"what": "refused", "detail": MESSAGE}             by the server, in a packet
//   {"what": "unreachable", "detail": MESSAGE}         the connection did not open, or broke
//   {"what": "disconnected", "detail": REASON}
//   {"what": "reconnecting", "detail": ATTEMPT}
//   {"what": "opened", "detail": TRANSPORT}            the one that the client has begun with
//   {"what": "upgraded", "detail": TRANSPORT}          the one that it goes on with
//   {"what": "not upgraded", "detail": MESSAGE}        it has tried, and stays with the first one
//   {"what": "event", "name": …, "detail": [ARGUMENTS]}
//   {"what": "ack", "ack": 7, "detail": [ARGUMENTS]}
"use strict";

function appWith(io, report) {
  const sockets = new Map();

  function connect({ url, options, events, emits = [] }) {
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
      socket.io.on("open", () => watch(socket.io.engine, tell));
    }
    emits.forEach(emit);
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

  return { connect, emit, disconnect };
}

// Each connection has an engine of its own, which tries to upgrade once it has opened.
function watch(engine, tell) {
  tell("opened", engine.transport.name);
  engine.on("upgrade", (transport) => tell("upgraded", transport.name));
  engine.on("upgradeError", (error) => tell("not upgraded", error.message));
}

// What the server has said itself comes as a string (version 2) or as a plain Error.
function isOfTheConnection(error) {
  return error.type === "TransportError" || error.message === "timeout";
}

if (typeof module === "object") {
  module.exports = appWith;
}
