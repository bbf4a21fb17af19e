"""What is imported: only one way between our parts, and a library only where it belongs."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra import ROOT

FUNCTIONS, INFRA = ROOT / "functions", ROOT / "infra"

ENTRIES = {"gateway", "api", "deliver", "push", "webhook", "ring", "sweep"}
_PURE = {"calls", "clients", "dialect", "published", "scheduled", "attempt", "recent", "readable"}
# Each part with all it may import of ours. The core names what it needs of the outside in `ports`,
# and only an entry file, which puts the two together, imports an adapter.
ALLOWED = {
    "calls": {"calls"},
    "readable": set(),
    "clients": {"calls", "clients", "readable"},
    "published": {"calls", "scheduled"},
    "scheduled": {"calls"},
    "attempt": {"calls"},
    "recent": set(),
    "addresses": set(),
    "later": {"telemetry"},
    "collections": set(),
    "dialect": {"calls", "dialect"},
    "variables": {"calls", "dialect"},
    "settings": {"addresses", "calls", "collections", "dialect", "variables"},
    "telemetry": set(),
    "calling": {"calls", "delivery", "inbound", "ports", "sessions", "settings", "wire"},
    "framing": {"calling", "calls", "delivery", "inbound", "ports", "sessions", "settings"},
    "heartbeats": {"clients", "sessions", "settings"},
    "polling": {"framing", "heartbeats", "inbound", "ports", "sessions", "settings"},
    "warmup": {"inbound", "telemetry"},
    "ports": {*_PURE, "ports"},
    "wire": {"calls", "clients", "dialect", "published", "readable", "wire"},
    "services": {
        *_PURE,
        *(
            "addresses",
            "collections",
            "later",
            "ports",
            "services",
            "settings",
            "telemetry",
            "wire",
        ),
    },
    "delivery": {*_PURE, "ports", "wire", "telemetry", "delivery"},
    "sessions": {*_PURE, "ports", "wire", "telemetry", "sessions"},
    "inbound": {*_PURE, "ports", "wire", "telemetry", "delivery", "sessions", "inbound"},
}
LIBRARIES = {
    "calls": {"msgspec"},
    "dialect": {"msgspec"},
    "published": {"msgspec"},
    "scheduled": {"msgspec"},
    "wire": {"msgspec"},
}
# The same of infra, by whole names: whatever is in these may be imported.
ALLOWED_TO_INFRA = {
    "build": {"infra"},
    "cloud": set(),
    "emulators": {"infra.emulators"},
    "client": {"infra.client", "infra.emulators.auth.tokens", "functions.collections"},
    "local": {"infra", "functions.collections", "functions.settings"},
    "bench": {"infra", "functions.settings"},
    "machine": set(),
    "node": set(),
    "smoke": {"infra.client", "infra.local.signals", "infra.loopback", "functions.collections"},
    "loopback": set(),
}
OURS = {"functions", "infra", "main", "tests"}


def modules(root: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(root.rglob("*.py")):
        if path != root / "__init__.py":
            yield path.relative_to(root).parts[0].removesuffix(".py"), path


def imported(path: Path) -> set[str]:
    """The whole names of ours that a module imports; `from a.b import c` imports `a.b.c`."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.ImportFrom(module=str(module), names=found):
                names |= {f"{module}.{each.name}" for each in found}
            case ast.Import(names=found):
                names |= {each.name for each in found}
    return {name for name in names if name.split(".")[0] in OURS}


def imported_parts(path: Path) -> set[str]:
    """The parts of `functions` that a module imports, `from functions import x` included."""
    names = (name.split(".") for name in imported(path))
    return {name[1] for name in names if name[0] == "functions" and len(name) > 1}


def imported_modules(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.ImportFrom(module=str(module)):
                yield module
            case ast.Import(names=names):
                yield from (name.name for name in names)


@pytest.mark.parametrize(
    ("part", "path"), list(modules(FUNCTIONS)), ids=lambda value: str(getattr(value, "name", value))
)
def test_imports_point_one_way(part: str, path: Path) -> None:
    allowed = set(ALLOWED) if part in ENTRIES else ALLOWED[part]
    assert imported_parts(path) <= allowed


@pytest.mark.parametrize(
    ("part", "path"), list(modules(FUNCTIONS)), ids=lambda value: str(getattr(value, "name", value))
)
def test_only_adapters_know_a_library_of_a_service(part: str, path: Path) -> None:
    if part in ENTRIES | {"services", "inbound", "warmup", "telemetry"}:
        return
    imported = {name.partition(".")[0] for name in imported_modules(path)}
    foreign = imported - set(sys.stdlib_module_names) - {"functions"}
    assert foreign <= LIBRARIES.get(part, set())


@pytest.mark.parametrize(
    ("part", "path"), list(modules(INFRA)), ids=lambda value: str(getattr(value, "name", value))
)
def test_infra_stands_on_emulators_and_next_to_nothing_of_the_functions(
    part: str, path: Path
) -> None:
    allowed = tuple(f"{name}." for name in ALLOWED_TO_INFRA[part])
    assert [name for name in imported(path) if not f"{name}.".startswith(allowed)] == []


def test_the_emulators_know_nothing_of_unring() -> None:
    sources = {path: path.read_text().lower() for path in (INFRA / "emulators").rglob("*.py")}
    assert [path for path, source in sources.items() if "unring" in source] == []
