"""axe: the rules by which a page is judged that everybody can use."""

import asyncio
import os
from pathlib import Path

import pytest

from infra import ROOT, node
from tests.support.site import Site

_PACKAGES = Path(__file__).with_name("package.json")
_MODULES = ROOT / ".node" / "axe"
# Best practices too, beside what WCAG asks.
_RUN = """axe.run().then(({violations}) => violations.map(({id, nodes}) =>
  `${id}: ${nodes.map(({target, failureSummary}) => `${target} ${failureSummary}`).join("; ")}`))"""


async def script() -> str:
    """axe's source. The test is skipped where it can't be had, or fails where nothing may be."""
    try:
        await asyncio.to_thread(node.install, _PACKAGES, _MODULES)
    except node.NodeUnavailable as reason:
        if os.environ.get("UNRING_REQUIRE_ALL"):
            pytest.fail(f"axe is required, and can't run: {reason}")
        pytest.skip(f"axe can't run: {reason}")
    source = _MODULES / "node_modules" / "axe-core" / "axe.min.js"
    return await asyncio.to_thread(source.read_text)


async def violations(site: Site, axe: str) -> list[str]:
    """What breaks a rule in the page as it is shown now."""
    await site.run(axe)
    found: list[str] = await site.value(_RUN)
    return found
