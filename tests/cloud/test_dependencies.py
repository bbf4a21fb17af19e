"""What is installed is known to the byte, and what is deployed has no known vulnerability."""

import asyncio
import json
import re
import sys
import tomllib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import request_response

from infra import ROOT
from infra.emulators.http import serving

REQUIREMENTS = ROOT / "requirements.txt"
DEV_REQUIREMENTS = ROOT / "requirements-dev.txt"
BENCH_REQUIREMENTS = ROOT / "requirements-bench.txt"
# By PyPI's own service, and where that says nothing (a mirror has the packages alone), by OSV's.
SERVICES = (("-s", "pypi"), ("-s", "osv"))
_PATIENCE_SECONDS = "10"


@dataclass(frozen=True)
class Audit:
    """What one vulnerability service says of packages, by their names."""

    advisories: Mapping[str, list[str]]  # ids and versions that mend them; only where there are any
    unknown: frozenset[str]  # packages that it knows nothing of
    unreachable: str | None = None  # why, if it could not be asked at all


async def audit(packages: Mapping[str, str], folder: Path, *service: str) -> Audit:
    """Has pip-audit ask a vulnerability service about these versions."""
    pinned = folder / "pinned.txt"
    pinned.write_text("".join(f"{name}=={number}\n" for name, number in packages.items()))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pip_audit", "--requirement", str(pinned)),
        *("--no-deps", "--disable-pip", "--format", "json", "--progress-spinner", "off"),
        *("--cache-dir", str(folder / "cache"), "--timeout", _PATIENCE_SECONDS, *service),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    if not output:  # it found nobody to ask; where it did ask, there is a report
        return Audit({}, frozenset(), errors.decode().strip().splitlines()[-1])
    found = json.loads(output)["dependencies"]
    return Audit(
        {each["name"]: _advisories(each["vulns"]) for each in found if each.get("vulns")},
        frozenset(each["name"] for each in found if "skip_reason" in each),
    )


def _advisories(vulnerabilities: list[dict[str, object]]) -> list[str]:
    return [f"{each['id']}, mended in {each['fix_versions']}" for each in vulnerabilities]


def deployed() -> dict[str, str]:
    """Name and version of all that requirements.txt installs, directly or not."""
    return pinned(REQUIREMENTS)


def pinned(file: Path) -> dict[str, str]:
    """Name and version of all that a file of requirements names."""
    return dict(_pin(line) for line in _lines(file))


def _lines(file: Path) -> list[str]:
    """One for each package, with its hashes."""
    lines = file.read_text().replace("\\\n", " ").splitlines()
    return [line for line in lines if line and not line.lstrip().startswith("#")]


def _pin(line: str) -> tuple[str, str]:
    requirement = Requirement(line.partition(" --hash=")[0])
    (specifier,) = requirement.specifier
    assert specifier.operator == "==", line
    return canonicalize_name(requirement.name), specifier.version


def test_what_is_installed_is_what_requirements_txt_says() -> None:
    assert {name: version(name) for name in deployed()} == deployed()
    assert {"grpcio", "cryptography", "requests", "uvicorn"} <= set(deployed())
    assert not {"pytest", "hypothesis", "pip-audit"} & set(deployed())


def test_the_requirements_are_what_pyproject_asks_for() -> None:
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())
    direct = dict(map(_pin, asked["project"]["dependencies"]))
    of_dev = dict(map(_pin, asked["dependency-groups"]["dev"]))
    assert direct.items() <= pinned(REQUIREMENTS).items()
    assert of_dev.items() | pinned(REQUIREMENTS).items() <= pinned(DEV_REQUIREMENTS).items()
    of_bench = dict(map(_pin, asked["dependency-groups"]["bench"]))
    assert of_bench.items() <= pinned(BENCH_REQUIREMENTS).items()
    # Both are installed into one environment.
    common = pinned(DEV_REQUIREMENTS).keys() & pinned(BENCH_REQUIREMENTS).keys()
    assert {name: pinned(BENCH_REQUIREMENTS)[name] for name in common}.items() <= (
        pinned(DEV_REQUIREMENTS).items()
    )


@pytest.mark.parametrize(
    "file", [REQUIREMENTS, DEV_REQUIREMENTS, BENCH_REQUIREMENTS], ids=lambda file: file.name
)
def test_every_package_is_known_by_its_hashes_wherever_it_comes_from(file: Path) -> None:
    for line in _lines(file):
        assert re.search(r" --hash=sha256:[0-9a-f]{64}\b", line), line
    assert "://" not in file.read_text()


@pytest.mark.timeout(300)
@pytest.mark.thorough
async def test_nothing_that_is_deployed_has_a_known_vulnerability(tmp_path: Path) -> None:
    """Skipped where no service can be asked, also where nothing else may be: to be offline is not
    to lack a tool, and a build must not depend on others' servers."""
    packages = deployed()
    reasons = []
    for service in SERVICES:
        result = await audit(packages, tmp_path, *service)
        if result.unreachable is None and result.unknown < set(packages):
            assert result == Audit({}, frozenset())
            return
        reasons.append(f"{service[1]}: {result.unreachable or 'it knows none of the packages'}")
    pytest.skip(f"offline, so nothing can be audited ({'; '.join(reasons)})")


# That an audit which finds nothing has looked


@asynccontextmanager
async def osv(advisories: Mapping[str, str]) -> AsyncIterator[tuple[str, ...]]:
    """OSV with these advisories on any version of these packages; gives pip-audit's arguments."""

    async def answer(request: Request) -> JSONResponse:
        package = (await request.json())["package"]["name"]
        if package not in advisories:
            return JSONResponse({})
        events = [{"introduced": "0"}, {"fixed": "999"}]
        affected = {
            "package": {"name": package, "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": events}],
        }
        found = {
            "id": advisories[package],
            "summary": "made up",
            "details": "made up",
            "affected": [affected],
            "published": "2026-01-01T00:00:00Z",
            "modified": "2026-01-01T00:00:00Z",
        }
        return JSONResponse({"vulns": [found]})

    async with serving(request_response(answer), lifespan="off") as url:
        yield ("-s", "osv", "--osv-url", f"{url}/v1/query")


@pytest.mark.thorough
async def test_a_vulnerability_of_any_deployed_package_is_found(tmp_path: Path) -> None:
    packages = deployed()
    async with osv({"grpcio": "PYSEC-2026-1", "starlette": "PYSEC-2026-2"}) as service:
        result = await audit(packages, tmp_path, *service)
    assert result.advisories == {
        "grpcio": ["PYSEC-2026-1, mended in ['999']"],
        "starlette": ["PYSEC-2026-2, mended in ['999']"],
    }
    assert (result.unknown, result.unreachable) == (frozenset(), None)
    async with osv({}) as service:
        some = {"starlette": packages["starlette"]}
        assert await audit(some, tmp_path, *service) == Audit({}, frozenset())


async def test_a_service_that_can_not_be_asked_is_not_taken_for_one_that_knows_of_nothing(
    tmp_path: Path,
) -> None:
    gone = ("-s", "osv", "--osv-url", "http://127.0.0.1:9/v1/query")
    result = await audit({"starlette": "1.0.0"}, tmp_path, *gone)
    assert result.unreachable
