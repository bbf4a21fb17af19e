"""The page's files."""

from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path

from starlette.responses import Response

from infra.local.console.guard import refused

PAGE = Path(__file__).parent / "page"
_INDEX = "index.html"
# What has another ending is no part of the page.
_TYPES: Mapping[str, str] = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
}


def file(path: str, folder: Path = PAGE) -> Response:
    """The file of that name, or 404. Read each time, so that who works on the page sees it at
    once."""
    # Looked up among the names of what is there, so that no path leads out of the folder.
    there = {str(each.relative_to(folder).as_posix()): each for each in folder.rglob("*")}
    found = there.get(path or _INDEX)
    if found is None or not found.is_file() or found.suffix not in _TYPES:
        return refused(HTTPStatus.NOT_FOUND, "There is no such file.")
    return Response(found.read_bytes(), media_type=_TYPES[found.suffix])
