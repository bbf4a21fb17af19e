"""Node and the clients of npm that the tests run."""

from pathlib import Path

from infra import ROOT, node
from infra.node import NodeUnavailable, unavailable

MODULES = ROOT / ".node"
PACKAGES = ROOT / "tests" / "e2e" / "socketio" / "package.json"

__all__ = ["MODULES", "PACKAGES", "NodeUnavailable", "install", "unavailable"]


def install() -> Path:
    """As `infra.node.install`; gives the folder."""
    node.install(PACKAGES, MODULES)
    return MODULES
