"""What a stack, and its app, call what traces are about."""

from dataclasses import replace

from functions.collections import Collections
from functions.settings import GatewaySettings
from infra import ROOT
from infra.local.console.console import words_of
from infra.local.console.observed import Observed
from infra.local.console.reading import Words
from infra.local.console.traces import Traces
from tests.console.makers import found, read
from tests.support.processes import settings_of


def test_by_default_it_is_our_words() -> None:
    assert words_of(settings_of(GatewaySettings), Collections()) == Words()


def test_collections_and_fields_may_have_other_names() -> None:
    dialect = (ROOT / "docs/dialects/snake-case.toml").read_text()
    words = words_of(settings_of(GatewaySettings, DIALECT=dialect), Collections("rooms", "x_"))
    assert (words.calls, words.outbox) == ("rooms", "x_outbox")
    assert words.events["cancelCall"] == "call:cancel"
    traces = Traces(words)
    said = 'c1= {"event": "cancelCall", "data": {"call_id": 17}}'
    frame = Observed(id=1, call="integration.$default", request=said, began=0.0)
    traces.take(frame)
    text = read("rooms/17")
    load = Observed(id=2, call="firestore.BatchGetDocuments", request=text, began=0.1)
    traces.take(replace(load, function="gateway"))
    response = found("rooms/17", callee_id="8", caller_id="7")
    traces.take(replace(load, function="gateway", ended=0.2, response=response))
    (trace,) = traces.all()
    assert (trace.event, trace.call, trace.users) == ("call:cancel", "17", ["7", "8"])
