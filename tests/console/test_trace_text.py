"""A trace as text."""

from infra.local.console.trace import as_text
from tests.console.makers import FRAME, GATEWAY, World, commit, frame


def test_it_is_an_aligned_table_in_the_order_of_time() -> None:
    world = World()
    made = world.begin(FRAME, frame("call:cancel", callId="CALL_1"), at=100.0)
    text = commit("calls/CALL_1")
    failed = world.begin("firestore.Commit", text, GATEWAY, at=100.0123)
    world.end(failed, 100.02, is_failed=True)
    world.begin("firestore.Commit", text, GATEWAY, at=100.03)
    world.end(made, 100.15, '{"ok": true, "outcome": "cancelled"}')
    world.span(failed).fault = "firestore-down"
    assert as_text(world.trace(made)).splitlines() == [
        "call:cancel; call: CALL_1; outcome: cancelled",
        "",
        "start ms     ms  function  call                          outcome",
        "     0.0  150.0  gateway   integration.$default          ok 200",
        "    12.3    7.7  gateway   firestore.Commit              "
        "failed 200, broken by firestore-down",
        "    30.0         gateway   firestore.Commit (attempt 2)  running",
    ]
