// An app with an unmodified Firestore client: commands come in on stdin and reports go out on
// stdout, a line of JSON each.
//
//   node listen.js MODULES KIND HOST PORT PROJECT     e.g. .node/package.json server 127.0.0.1 80 p
//
// KIND is "server", @google-cloud/firestore, or "web", the SDK of web pages, which speaks gRPC here.
//
// Commands:
//   {"do": "listen", "name": …, "path": …, "where": [[FIELD, "==", VALUE]],
//    "orders": [[FIELD, "asc"]], "limit": 2 or null}    path of a document or of a collection
//   {"do": "stop", "name": …}
//   {"do": "set" or "get" or "delete", "name": …, "path": …, "fields": {…}}
//
// Reports, each with the "name" of its command:
//   {"docs": [[ID, FIELDS], …], "changes": [["added", ID], …]}    of a document no changes
//   {"error": MESSAGE}
//   {"done": true}
"use strict";

const { createRequire } = require("node:module");
const { createInterface } = require("node:readline");

const [modules, kind, host, port, project] = process.argv.slice(2);
const load = createRequire(modules);
const client = kind === "web" ? web() : server();
const unsubscribes = new Map();

function server() {
  const { Firestore } = load("@google-cloud/firestore");
  process.env.FIRESTORE_EMULATOR_HOST = `${host}:${port}`;
  const db = new Firestore({ projectId: project });
  return {
    target({ path, where, orders, limit }) {
      if (isDocument(path)) return db.doc(path);
      let query = db.collection(path);
      for (const condition of where) query = query.where(...condition);
      for (const order of orders) query = query.orderBy(...order);
      return limit === null ? query : query.limit(limit);
    },
    onSnapshot: (target, next, error) => target.onSnapshot(next, error),
    set: (path, fields) => db.doc(path).set(fields),
    delete: (path) => db.doc(path).delete(),
    get: (path) => db.doc(path).get(),
    exists: (snapshot) => snapshot.exists,
  };
}

function web() {
  const { initializeApp } = load("@firebase/app");
  const sdk = load("@firebase/firestore");
  sdk.setLogLevel("silent");
  const db = sdk.getFirestore(initializeApp({ projectId: project }));
  sdk.connectFirestoreEmulator(db, host, Number(port));
  return {
    target({ path, where, orders, limit }) {
      if (isDocument(path)) return sdk.doc(db, path);
      const parts = where.map((condition) => sdk.where(...condition));
      parts.push(...orders.map((order) => sdk.orderBy(...order)));
      if (limit !== null) parts.push(sdk.limit(limit));
      return sdk.query(sdk.collection(db, path), ...parts);
    },
    onSnapshot: sdk.onSnapshot,
    set: (path, fields) => sdk.setDoc(sdk.doc(db, path), fields),
    delete: (path) => sdk.deleteDoc(sdk.doc(db, path)),
    get: (path) => sdk.getDoc(sdk.doc(db, path)),
    exists: (snapshot) => snapshot.exists(),
  };
}

function isDocument(path) {
  return path.split("/").length % 2 === 0;
}

function report(fields) {
  process.stdout.write(JSON.stringify(fields) + "\n");
}

function seen(path, snapshot) {
  const read = (doc) => [doc.id, doc.data()];
  if (isDocument(path)) {
    return { docs: client.exists(snapshot) ? [read(snapshot)] : [], changes: [] };
  }
  const changes = snapshot.docChanges().map(({ type, doc }) => [type, doc.id]);
  return { docs: snapshot.docs.map(read), changes };
}

function listen({ name, ...watched }) {
  const next = (snapshot) => report({ name, ...seen(watched.path, snapshot) });
  const failed = (error) => report({ name, error: error.message });
  unsubscribes.set(name, client.onSnapshot(client.target(watched), next, failed));
}

function stop({ name }) {
  unsubscribes.get(name)();
  report({ name, done: true });
}

async function set({ name, path, fields }) {
  await client.set(path, fields);
  report({ name, done: true });
}

async function remove({ name, path }) {
  await client.delete(path);
  report({ name, done: true });
}

async function get({ name, path }) {
  report({ name, ...seen(path, await client.get(path)) });
}

const commands = { listen, stop, set, get, delete: remove };
const lines = createInterface({ input: process.stdin });
lines.on("line", async (line) => {
  const command = JSON.parse(line);
  try {
    await commands[command.do](command);
  } catch (error) {
    report({ name: command.name, error: error.message });
  }
});
// Whoever started us is done with us, or dead.
lines.on("close", () => process.exit());
