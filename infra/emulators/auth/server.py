"""What every issuer of tokens has here: a URL under which anybody gets one."""

from infra.emulators.http import Served

TOKENS_PATH = "/tokens/"


class TokenServer(Served):
    """A server of tokens, each at its user's id."""

    @property
    def tokens_url(self) -> str:
        """A user's id after it makes the URL of a token."""
        return f"{self._origin}{TOKENS_PATH}"
