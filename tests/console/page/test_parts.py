"""Parts of the page alone, in the browser that has it: what a stack of a test hardly comes to."""

import pytest

from tests.console.page.desk import Desk
from tests.support.stacks import Watched

pytestmark = pytest.mark.thorough

_SNAPSHOT = """import("/traces.js").then(async ({Traces}) => {
  const asked = [];
  window.fetch = async (path) => {
    asked.push(path);
    return new Response('{"spans": []}');
  };
  const traces = new Traces();
  const drawn = new Promise((resolve) => traces.addEventListener("change", resolve, {once: true}));
  traces.begin();
  for (let at = 1; at <= 150; at += 1) {
    traces.trace({id: String(at), event: "call:cancel", users: [], call: null, started: at, ms: 1});
  }
  await drawn;
  return asked;
})"""
_RECONNECTED = """import("/traces.js").then(async ({Traces}) => {
  const ids = ["old", "new"];
  window.fetch = async () => Response.json({spans: [{id: ids.shift(), start: 0}]});
  const traces = new Traces();
  const trace = {id: "1", event: "call:cancel", users: [], call: null, started: 1, ms: 1};
  const shows = (id) => new Promise((resolve) => traces.addEventListener("change", () =>
    traces.spans.some((span) => span.id === id) && resolve()));
  traces.trace(trace);
  await shows("old");
  traces.begin();
  traces.trace(trace);
  await shows("new");
  return traces.spans.map(({id}) => id);
})"""
# A stream that the server refuses is closed, and the next one is taken.
_REFUSED = """import("/api.js").then(({live}) => new Promise((resolve) => {
  const told = [];
  let made = 0;
  window.setTimeout = (then) => then();
  window.EventSource = class extends EventTarget {
    static CLOSED = 2;
    constructor() {
      super();
      made += 1;
      this.readyState = made === 1 ? 2 : 1;
      const event = made === 1 ? "error" : "begin";
      queueMicrotask(() => this.dispatchEvent(new Event(event)));
    }
  };
  live({}, () => {}, (isLive) => {
    told.push(isLive);
    if (isLive) resolve(told);
  });
}))"""
_MOVED = """import("/dom.js").then(({h, keyed}) => {
  const list = h("ul");
  document.body.append(list);
  const show = (names) =>
    keyed(list, names, {key: (name) => name, make: (name) => h("li", {}, h("button", {}, name))});
  show(["first", "second", "third"]);
  list.lastElementChild.firstElementChild.focus();
  show(["third", "first", "second"]);
  return [list.textContent, document.activeElement.textContent];
})"""
_CHANGES = """import("/documents.js").then(({Documents}) => {
  const documents = new Documents({others: "others"});
  for (let at = 1; at <= 1003; at += 1) {
    documents.document({collection: "others", id: `document-${at}`, fields: {}, at});
  }
})"""


@pytest.fixture
async def page(bare_desk: Desk, watched: Watched) -> Desk:
    await bare_desk.sit_down(watched.url)
    return bare_desk


async def test_of_a_snapshot_only_the_trace_that_is_shown_is_asked_for(page: Desk) -> None:
    assert await page.site.value(_SNAPSHOT) == ["/api/traces/150"]


async def test_a_trace_is_loaded_anew_after_another_snapshot(page: Desk) -> None:
    assert await page.site.value(_RECONNECTED) == ["new"]


async def test_a_stream_that_was_refused_is_asked_for_again(page: Desk) -> None:
    assert await page.site.value(_REFUSED) == [False, True]


async def test_focus_stays_in_what_is_moved(page: Desk) -> None:
    assert await page.site.value(_MOVED) == ["thirdfirstsecond", "third"]


async def test_of_a_collections_documents_the_latest_are_kept(page: Desk) -> None:
    await page.site.value(_CHANGES)
    await page.site.says("5 of 1000", ("region", "Documents"))
