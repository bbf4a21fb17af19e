// What one remote call asked, what came of it, and what its function logged meanwhile.

import * as api from "./api.js";
import { h } from "./dom.js";
import { duration } from "./times.js";

/** When a call began in its trace, and how long it took. */
export const spent = ({ start, ms }) => `from ${duration(start)}, ${ms === null ? "not ended" : `took ${duration(ms)}`}`;

/** An element that fills itself as soon as the server has answered. */
export function spanDetail(span) {
  const { id, call, label } = span;
  const element = h("div", { class: "span-detail", role: "group", "aria-label": `Details of ${label}` }, h("p", { class: "empty" }, "Loading …"));
  const facts = `${call}, ${spent(span)}`;
  api.span(id).then(
    (detail) => element.replaceChildren(...parts(facts, detail)),
    (error) => element.replaceChildren(h("p", { class: "empty" }, error.message)),
  );
  return element;
}

function parts(facts, { request, response, logs }) {
  return [
    h("p", { class: "facts" }, facts),
    h("div", { class: "exchange" }, exchange("Request", request), exchange("Response", response)),
    h("h4", {}, "Log lines"),
    logs.length ? h("ol", { class: "logs" }, logs.map(logLine)) : h("p", { class: "empty" }, "The functions logged nothing meanwhile."),
  ];
}

function exchange(title, body) {
  return h("div", {}, h("h4", {}, title), h("pre", { tabindex: "0", "aria-label": title, role: "group" }, body || "(empty)"));
}

function logLine({ function: name, line }) {
  const { severity, message, ...fields } = line;
  const rest = Object.entries(fields).map(([field, value]) => `${field}=${typeof value === "string" ? value : JSON.stringify(value)}`);
  return h(
    "li",
    { "data-severity": severity ?? "INFO" },
    h("span", { class: "from" }, `${name} ${severity ?? "INFO"}`),
    h("span", { class: "message" }, message ?? ""),
    h("span", { class: "fields" }, rest.join("  ")),
  );
}
