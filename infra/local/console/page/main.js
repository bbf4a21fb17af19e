// Puts the page together: each part gets what the stack tells that concerns it.

import * as api from "./api.js";
import { Documents } from "./documents.js";
import { byId, text } from "./dom.js";
import { FaultSwitches } from "./faults.js";
import { Phones } from "./phones.js";
import { themeButton } from "./theme.js";
import { traceList } from "./tracelist.js";
import { Traces } from "./traces.js";
import { waterfall } from "./waterfall.js";

const SAID_MS = 8_000;
let silence;

/** Says something once, to eyes and to ears. What is said again is heard again: it is empty between. */
function say(words) {
  const said = byId("said");
  clearTimeout(silence);
  text(said, "");
  requestAnimationFrame(() => text(said, words));
  silence = setTimeout(() => text(said, ""), SAID_MS);
}

async function main() {
  themeButton(byId("theme"));
  const stack = await api.stack();
  text(byId("limits"), stack.limits ?? "");
  byId("limits").hidden = !stack.limits;

  const phones = new Phones(stack);
  const traces = new Traces();
  traceList(traces);
  waterfall(traces, { faults: Object.fromEntries(stack.faults.map(({ name, label }) => [name, label])), say });
  const documents = new Documents(stack.collections);
  const faults = new FaultSwitches(stack.faults, {
    device: () => phones.receiver.token,
    // A token that FCM has refused is forgotten: the app shows it again, as it does when it starts.
    healed: (tokens) => {
      const forgotten = [phones.caller, phones.receiver].filter(({ token, link }) => tokens.includes(token) && link === "open");
      for (const phone of forgotten) phone.register();
    },
    say,
  });

  const heard = {
    trace: (trace) => traces.trace(trace),
    span: (span) => traces.span(span),
    push: (push) => phones.push(push),
    document: (document) => documents.document(document),
    fault: (fault) => faults.fault(fault),
  };
  const begin = () => {
    traces.begin();
    documents.begin();
  };
  const connected = (isLive) => {
    byId("health").dataset.live = isLive;
    text(byId("health"), isLive ? `Live: ${stack.project}` : "The stack does not answer. Is it running?");
  };
  api.live(heard, begin, connected);
}

main().catch((error) => text(byId("health"), `The console can't begin: ${error.message}`));
