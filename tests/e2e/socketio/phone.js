// One phone with an unmodified socket.io-client in Node: the commands of app.js come in on stdin
// and its reports go out on stdout, a line of JSON each.
//
//   node phone.js MODULES PACKAGE     e.g. .node/package.json socket.io-client-2
"use strict";

const { createRequire } = require("node:module");
const { createInterface } = require("node:readline");
const appWith = require("./app.js");

const [modules, name] = process.argv.slice(2);
const io = createRequire(modules)(name);
const app = appWith(io, (report) => process.stdout.write(JSON.stringify(report) + "\n"));

const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => {
  const command = JSON.parse(line);
  app[command.do](command);
});
// Whoever started us is done with us, or dead.
lines.on("close", () => process.exit());
