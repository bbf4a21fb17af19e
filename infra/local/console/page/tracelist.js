// The list of traces, and how it is searched.

import { byId, h, keyed, set, text } from "./dom.js";
import { clock, duration } from "./times.js";

const ROOTS = { frame: "frame", request: "request", task: "timer", sweep: "sweep", close: "close" };
const SHOWN = 60;

export function traceList(traces) {
  const list = byId("trace-list");
  const none = byId("no-traces");
  const about = byId("about");
  const follow = byId("follow");
  const everything = byId("everything");
  about.addEventListener("input", () => traces.ask({ about: about.value.trim() }));
  follow.addEventListener("change", () => traces.ask({ follows: follow.checked }));
  everything.addEventListener("change", () => traces.ask({ hasAll: everything.checked }));

  const first = byId("no-signal");
  const draw = () => {
    const listed = traces.listed.slice(0, SHOWN);
    keyed(list, listed, {
      key: (trace) => trace.id,
      make: (trace) => makeItem(trace, () => traces.choose(trace.id)),
      update: (item, trace) => updateItem(item, trace, trace.id === traces.selected),
    });
    list.hidden = listed.length === 0;
    first.hidden = listed.length > 0 || traces.about !== "";
    none.hidden = listed.length > 0 || traces.about === "";
    text(none, `No trace of a user or a call whose id begins with “${traces.about}”.`);
    follow.checked = traces.follows;
  };
  traces.addEventListener("change", draw);
  draw();
}

function makeItem(trace, choose) {
  const parts = ["event", "outcome", "users", "call-id", "ms", "at"].map((name) => h("span", { class: name }));
  return h("li", {}, h("button", { type: "button", onclick: choose }, parts));
}

function updateItem(item, { root, event, outcome, users, call, ms, started }, isSelected) {
  const button = item.firstElementChild;
  const [name, result, who, id, took, at] = button.children;
  set(button, "aria-current", isSelected ? "true" : null);
  text(name, event ?? ROOTS[root] ?? root);
  text(result, outcome ?? "");
  set(result, "data-outcome", outcome);
  text(who, users.join(", "));
  text(id, call ?? "");
  text(took, duration(ms));
  text(at, clock(started));
}
