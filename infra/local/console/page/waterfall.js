// One trace as a waterfall: a table with a row for each remote call and its bar on the time axis.

import * as api from "./api.js";
import { byId, h, keyed, set, text } from "./dom.js";
import { kindOf, kindsOf } from "./kinds.js";
import { spanDetail, spent } from "./spandetail.js";
import { duration } from "./times.js";

const STEPS = [1, 2, 5];
const LINES = 4; // of the axis, at most

/** `faults` has the labels of the switches by their names. */
export function waterfall(traces, { faults, say }) {
  const place = byId("trace");
  const problem = byId("trace-problem");
  const parts = skeleton(() => copyText(traces.selected, say));
  place.append(h("div", { class: "trace-head" }, h("div", {}, parts.title, parts.facts), parts.copy), parts.legend, parts.calls);

  const unfolded = new Set();
  const draw = () => {
    const trace = traces.problem ? null : traces.shown;
    text(problem, traces.problem ?? "");
    problem.hidden = traces.problem === null;
    place.hidden = trace === null;
    if (trace !== null) drawTrace(parts, { trace, spans: byFunction(traces.spans), faults, unfolded, toggle });
  };
  const toggle = (id) => {
    if (!unfolded.delete(id)) unfolded.add(id);
    draw();
  };
  traces.addEventListener("change", draw);
  draw();
}

function skeleton(copyPressed) {
  const axis = h("div", { class: "axis", "aria-hidden": "true" });
  const heading = (name) =>
    h("th", { role: "columnheader", scope: "col", class: name.toLowerCase() }, name === "Time" ? [h("span", { class: "hidden" }, name), axis] : name);
  const rows = h("tbody", { role: "rowgroup" });
  const head = h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, ["Call", "Function", "Time", "Outcome"].map(heading)));
  const table = h("table", { class: "waterfall", role: "table", "aria-label": "Remote calls" }, head, rows);
  return {
    title: h("h3", {}),
    facts: h("p", { class: "facts" }),
    copy: h("button", { type: "button", class: "quiet", onclick: copyPressed }, "Copy as text"),
    legend: h("ul", { class: "legend", "aria-label": "Colours" }),
    calls: h("div", { class: "calls" }, table),
    axis,
    rows,
  };
}

function drawTrace({ title, facts, legend, axis, rows }, { trace, spans, faults, unfolded, toggle }) {
  const whole = Math.max(trace.ms, 1, ...spans.map(({ start, ms }) => start + (ms ?? 0)));
  text(title, [trace.event ?? trace.root, trace.outcome].filter(Boolean).join(": "));
  text(facts, [trace.users.join(", "), trace.call, `${spans.length} calls in ${duration(whole)}`].filter(Boolean).join(" · "));
  keyed(legend, kindsOf(spans.map(({ call }) => call)), { key: ({ name }) => name, make: legendItem });
  const moments = ticks(whole);
  rows.style.setProperty("--step", moments[1] / whole);
  keyed(axis, moments, { key: (at) => at, make: tick, update: (mark, at) => placeTick(mark, at / whole) });
  const shown = spans.flatMap((span) => (unfolded.has(span.id) ? [span, { detail: span }] : [span]));
  keyed(rows, shown, {
    // A call that has ended has another detail than while it ran.
    key: (each) => (each.detail ? `detail of ${each.detail.id}, ${each.detail.outcome}` : each.id),
    make: (each) => (each.detail ? detailRow(each.detail) : makeRow(each, toggle)),
    update: (row, each) => !each.detail && updateRow(row, each, { whole, faults, isUnfolded: unfolded.has(each.id) }),
  });
  spans.forEach((span, index) => {
    const begins = index > 0 && span.function !== spans[index - 1].function;
    byId(rowId(span.id)).classList.toggle("begins", begins);
  });
}

async function copyText(id, say) {
  try {
    await navigator.clipboard.writeText(await api.traceText(id));
    say("The trace is on the clipboard.");
  } catch (error) {
    say(`It can't be copied: ${error.message}`);
  }
}

const legendItem = ({ name, label }) => h("li", { "data-kind": name }, h("span", { class: "dot", "aria-hidden": "true" }), label);

/** Round moments from 0 to the end, in milliseconds. */
function ticks(whole) {
  const least = whole / LINES;
  const power = 10 ** Math.floor(Math.log10(least));
  const step = power * (STEPS.find((each) => each * power >= least) ?? 10);
  return Array.from({ length: Math.floor(whole / step) + 1 }, (_, index) => index * step);
}

const tick = (at) => h("span", {}, at === 0 ? "0" : at < 1000 ? `${+at.toPrecision(3)} ms` : `${+(at / 1000).toPrecision(3)} s`);

function placeTick(mark, from) {
  position(mark, from);
  set(mark, "data-last", from > 0.9);
}

// A style sheet reads them: the page's policy allows no style attribute, and this is none.
function position(element, from, width = 0) {
  element.style.setProperty("--from", from);
  element.style.setProperty("--width", width);
}

function makeRow({ id }, toggle) {
  const cell = (name, ...children) => h("td", { role: "cell", class: name }, children);
  const button = h("button", { type: "button", "aria-controls": detailId(id), onclick: () => toggle(id) });
  const bar = h("span", { class: "bar" });
  const track = h("div", { class: "track", "aria-hidden": "true", onclick: () => toggle(id) }, bar, h("span", { class: "took" }));
  return h(
    "tr",
    { role: "row", id: rowId(id) },
    h("th", { role: "rowheader", scope: "row", class: "call" }, button),
    cell("function"),
    cell("time", track, h("span", { class: "hidden" })),
    cell("outcome", h("span"), h("span", { class: "why" })),
  );
}

function updateRow(row, span, { whole, faults, isUnfolded }) {
  const { call, label, start, ms, outcome, status, attempt, fault } = span;
  const [name, where, time, result] = row.children;
  const width = (ms ?? whole - start) / whole;
  set(row, "data-kind", kindOf(call).name);
  set(row, "data-outcome", outcome);
  text(name.firstElementChild, label);
  set(name.firstElementChild, "title", call);
  set(name.firstElementChild, "aria-expanded", String(isUnfolded));
  text(where, span.function);
  position(time.firstElementChild, start / whole, width);
  set(time.firstElementChild, "data-side", side(start / whole, width));
  text(time.querySelector(".took"), duration(ms));
  text(time.lastElementChild, spent(span));
  text(result.firstElementChild, outcomeWords(outcome, status));
  text(result.lastElementChild, [attempt > 1 && `attempt ${attempt}`, fault && (faults[fault] ?? fault)].filter(Boolean).join(", "));
}

/** Where there is room for a bar's duration. */
function side(from, width) {
  if (from + width < 0.82) return "right";
  return from > 0.2 ? "left" : "in";
}

function outcomeWords(outcome, status) {
  if (outcome === "running") return "running";
  return outcome === "failed" ? `failed: ${status}` : status || "ok";
}

/** Each function's calls together, in the order in which the functions begin. */
function byFunction(spans) {
  const names = [...new Set(spans.map((span) => span.function))];
  return names.flatMap((name) => spans.filter((span) => span.function === name));
}

const rowId = (id) => `call-${id}`;
const detailId = (id) => `detail-${id}`;

function detailRow(span) {
  return h("tr", { role: "row", class: "detail", id: detailId(span.id) }, h("td", { role: "cell", colspan: "4" }, spanDetail(span)));
}
