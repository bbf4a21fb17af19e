"""The snippets of docs/phones.md that can run here: the service worker's."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.pages import section

# What a browser gives a service worker.
BROWSER = """
const told = (fields) => console.log(JSON.stringify(fields));
const kept = new Map(), listeners = {};
const tombstones = { match: async (at) => kept.get(at), put: async (at, it) => kept.set(at, it) };
globalThis.api = "https://api.example";
globalThis.caches = { open: async () => tombstones };
globalThis.fetch = async (url, options) => told({ url, ...options });
globalThis.self = {
  addEventListener: (name, listener) => { listeners[name] = listener; },
  registration: { showNotification: async (title, options) => told({ title, ...options }) },
  clients: { openWindow: async (path) => told({ path }) },
};
async function happens(name, event) {
  const waits = [];
  listeners[name]({ ...event, waitUntil: (promise) => waits.push(promise) });
  if (!waits.length) throw new Error(`${name} is not waited for`);
  await Promise.all(waits);
}
const pushed = (data) => happens("push", { data: { json: () => ({ data, from: "1" }) } });
const clicked = (action) => happens("notificationclick", {
  action, notification: { close() {}, data: { callId: "CALL/1", ringToken: "ring.x" } },
});
"""
PLAYED = """
const ring = { type: "incoming_call", callId: "CALL/1", callerName: "Ada", ringToken: "ring.x" };
await pushed(ring);
await clicked("decline");
await clicked("");
await pushed({ type: "call_cancelled", callId: "CALL/1" });
await pushed(ring);
await pushed({ ...ring, callId: "CALL/2" });
await pushed({ type: "something_new", callId: "CALL/2" });
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What the worker shows and sends, in order."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node not found")
    (worker,) = re.findall("```js\n(.*?)```", section("docs/phones.md", "The web"), re.DOTALL)
    file: Path = tmp_path_factory.mktemp("worker") / "worker.mjs"
    file.write_text(BROWSER + worker + PLAYED)
    run = subprocess.run(  # noqa: S603 - our own page
        [node, str(file)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return [json.loads(line) for line in run.stdout.splitlines()]


def test_each_push_shows_something(told: list[dict[str, Any]]) -> None:
    shown = [(each["title"], each["tag"]) for each in told if "title" in each]
    assert shown == [
        ("Ada is calling", "CALL/1"),
        ("Missed call", "CALL/1"),
        ("Missed call", "CALL/1"),  # its ring came after its end
        ("Ada is calling", "CALL/2"),
        ("Missed call", "CALL/2"),
    ]


def test_who_declines_shows_the_ring_token(told: list[dict[str, Any]]) -> None:
    (declined,) = [each for each in told if "url" in each]
    assert declined == {
        "url": "https://api.example/v1/calls/CALL%2F1/reject",
        "method": "POST",
        "headers": {"Authorization": "Bearer ring.x"},
    }


def test_who_answers_opens_the_app(told: list[dict[str, Any]]) -> None:
    assert [each["path"] for each in told if "path" in each] == ["/calls/CALL%2F1"]
