"""What a start does not wait for is loaded beside the first request, once."""

import threading

import pytest

from functions import later
from tests.support.pace import PATIENCE_SECONDS


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What has been loaded so far, of nothing but what a test asks for."""
    loaded: list[str] = []
    monkeypatch.setattr(later, "_modules", [])
    monkeypatch.setattr(later, "import_module", loaded.append)
    return loaded


def wait() -> None:
    """Waits for all that is being loaded."""
    for thread in threading.enumerate():
        if thread.name == later.THREAD:
            thread.join(PATIENCE_SECONDS)


async def answered(request: str) -> str:
    return f"answer to {request}"


async def test_the_first_request_is_answered_and_has_modules_loaded(loaded: list[str]) -> None:
    later.load_later("first")
    later.load_later("second")
    handler = later.beside_the_first(answered)
    assert loaded == []
    assert await handler("this") == "answer to this"
    wait()
    assert loaded == ["first", "second"]


async def test_the_next_request_has_nothing_loaded(loaded: list[str]) -> None:
    later.load_later("first")
    handler = later.beside_the_first(answered)
    for _ in range(3):
        await handler("this")
    wait()
    assert loaded == ["first"]


async def test_a_module_that_can_not_be_loaded_keeps_back_no_other(
    loaded: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def load(module: str) -> None:
        if module == "broken":
            raise ImportError(module)
        loaded.append(module)

    monkeypatch.setattr(later, "import_module", load)
    later.load_later("broken")
    later.load_later("next")
    await later.beside_the_first(answered)("this")
    wait()
    assert loaded == ["next"]
    assert "module not loaded" in caplog.text


async def test_the_first_request_does_not_wait_for_modules(
    loaded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    monkeypatch.setattr(later, "import_module", lambda _: go.wait(PATIENCE_SECONDS))
    later.load_later("slow")
    assert await later.beside_the_first(answered)("this") == "answer to this"
    assert not go.is_set()
    go.set()
