"""What is imported: only one way between our parts, and only what a function uses."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = ROOT / "functions"

ENTRIES = {"gateway", "deliver", "push", "sweep"}
# Each part with all it may import of ours; nothing may import an entry file.
ALLOWED = {
    "calls": {"calls"},
    "wire": {"calls", "wire"},
    "settings": set(),
    "telemetry": set(),
    "published": {"calls"},
    "services": {"calls", "wire", "published", "services", "settings", "telemetry"},
    "notification": {"calls", "wire", "services", "telemetry"},
    "memory": {"calls"},
    "sender": {"calls", "services"},
    "delivery": {"calls", "published", "services", "telemetry"},
    "copies": {"calls", "delivery", "services"},
    "forwarded": {"calls", "wire"},
    "warmup": {"telemetry"},
    "catchup": {
        *("calls", "delivery", "memory", "notification", "published", "services", "telemetry"),
    },
    "signaling": {
        *("calls", "copies", "notification", "sender", "services", "telemetry", "warmup"),
    },
    "sessions": {
        *("calls", "wire", "forwarded", "published", "services", "telemetry", "warmup"),
    },
    "opening": {"calls", "wire", "delivery", "published", "services", "telemetry"},
}


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(FUNCTIONS.rglob("*.py")):
        if path != FUNCTIONS / "__init__.py":
            yield path.relative_to(FUNCTIONS).parts[0].removesuffix(".py"), path


def imported_parts(path: Path) -> set[str]:
    """The parts of `functions` that a module imports, `from functions import x` included."""
    parts: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.ImportFrom(module="functions", names=names):
                parts |= {name.name for name in names}
            case ast.ImportFrom(module=str(module)) if module.startswith("functions."):
                parts.add(module.split(".")[1])
            case ast.Import(names=names):
                parts |= {n.name.split(".")[1] for n in names if n.name.startswith("functions.")}
    return parts


@pytest.mark.parametrize(
    ("part", "path"), list(modules()), ids=lambda value: str(getattr(value, "name", value))
)
def test_imports_point_one_way(part: str, path: Path) -> None:
    allowed = set(ALLOWED) if part in ENTRIES else ALLOWED[part]
    assert imported_parts(path) <= allowed


def test_the_local_stack_needs_next_to_nothing_of_the_functions() -> None:
    parts = {part for path in (ROOT / "infra").rglob("*.py") for part in imported_parts(path)}
    assert parts <= {"settings"}


@pytest.mark.parametrize(
    ("function", "unused"),
    [
        ("gateway", {"firebase_admin.messaging", "boto3", "mockfirestore", "pydantic"}),
        ("deliver", {"firebase_admin", "google.pubsub_v1", "google.cloud.pubsub_v1", "boto3"}),
        ("push", {"botocore", "google.pubsub_v1", "google.cloud.pubsub_v1", "firebase_admin.auth"}),
        ("sweep", {"botocore", "firebase_admin"}),
    ],
)
def test_a_function_imports_only_what_it_uses(function: str, unused: set[str]) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "GOOGLE_CLOUD_PROJECT": "unring-test",
        "GATEWAY_SECRET": "0123456789abcdef",
        "CONNECTIONS_URL": "http://127.0.0.1:9/dev/@connections",
    }
    program = f"import sys, main; main.{function}; print(*sys.modules)"
    loaded = subprocess.run(  # noqa: S603
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert unused.isdisjoint(loaded)
    others = {f"functions.{name}" for name in ENTRIES - {function}}
    assert others.isdisjoint(loaded)
