"""Calls as the services have seen them, made for tests of what belongs together."""

import itertools
import json
from dataclasses import replace

from google.cloud.firestore_v1 import types
from google.pubsub_v1 import PublishRequest, PubsubMessage

from infra.local.console.observed import Observed
from infra.local.console.reading import Words
from infra.local.console.trace import Span, Trace
from infra.local.console.traces import Traces

ROOT = "projects/p/databases/(default)/documents"
GATEWAY = "gateway"
FRAME = "integration.$default"

_ids = itertools.count(1)


class World:
    """Traces of calls that begin when a test says so, in seconds, and take a hundredth."""

    def __init__(self) -> None:
        self.traces = Traces(Words())

    def begin(
        self, call: str, request: str = "", function: str | None = None, at: float = 0.0
    ) -> Observed:
        observed = Observed(id=next(_ids), call=call, request=request, function=function, began=at)
        self.traces.take(observed)
        return observed

    def end(
        self, observed: Observed, at: float, response: str = "", *, is_failed: bool = False
    ) -> None:
        self.traces.take(
            replace(observed, ended=at, status="200", response=response, is_failed=is_failed)
        )

    def made(
        self,
        call: str,
        request: str = "",
        function: str | None = None,
        at: float = 0.0,
        response: str = "",
    ) -> Observed:
        """One that has ended."""
        observed = self.begin(call, request, function, at)
        self.end(observed, at + 0.01, response)
        return observed

    def span(self, observed: Observed) -> Span:
        return self.found(observed)[1]

    def trace(self, observed: Observed) -> Trace:
        return self.found(observed)[0]

    def found(self, observed: Observed) -> tuple[Trace, Span]:
        found = self.traces.of_span(observed.id)
        assert found is not None
        return found

    def is_nobodys(self, observed: Observed) -> bool:
        return self.traces.of_span(observed.id) is None


def frame(event: str, connection: str = "c1=", **data: object) -> str:
    return f"{connection} {json.dumps({'event': event, 'data': data})}"


def read(*documents: str) -> str:
    """The text of a BatchGetDocuments."""
    names = [f"{ROOT}/{each}" for each in documents]
    return str(types.BatchGetDocumentsRequest(documents=names))


def found(document: str, **fields: str) -> str:
    """The text of its response."""
    values = {name: types.Value(string_value=value) for name, value in fields.items()}
    there = types.Document(name=f"{ROOT}/{document}", fields=values)
    return str(types.BatchGetDocumentsResponse(found=there))


def commit(*documents: str) -> str:
    """The text of a Commit that writes these."""
    writes = [types.Write(update=types.Document(name=f"{ROOT}/{each}")) for each in documents]
    return str(types.CommitRequest(writes=writes))


def look_up(user: str) -> str:
    """The text of a RunQuery for the connections of a user."""
    query = types.StructuredQuery(
        where=types.StructuredQuery.Filter(
            field_filter=types.StructuredQuery.FieldFilter(value=types.Value(string_value=user))
        )
    )
    return str(types.RunQueryRequest(structured_query=query))


def event(**said: str) -> str:
    """What is published."""
    return json.dumps(said, ensure_ascii=False)


def publish(*events: str) -> str:
    """The text of a Publish of these."""
    return str(PublishRequest(messages=[PubsubMessage(data=each.encode()) for each in events]))
