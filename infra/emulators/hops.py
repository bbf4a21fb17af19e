"""What of HTTP's headers is for one hop alone, and so not passed on by what stands between two.

https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1
"""

from collections.abc import Collection, Iterable

# Whoever sends a body counts it himself.
HOP_BY_HOP = frozenset(
    {
        *("connection", "content-length", "keep-alive", "proxy-authenticate"),
        *("proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding"),
        "upgrade",
    }
)
# httpx has decoded the body by the time it is passed on.
NOT_PASSED_BACK = HOP_BY_HOP | {"content-encoding"}

Headers = list[tuple[str, str]]


def passed_on(
    headers: Iterable[tuple[str, str]], source_ip: str, but: Collection[str] = ()
) -> Headers:
    """A client's headers for the next hop, with its address added to X-Forwarded-For.

    Those named in `but`, in lower case, are left out too.
    """
    came = list(headers)
    dropped = HOP_BY_HOP | _named_by_connection(came) | {"x-forwarded-for"} | set(but)
    kept = [(name, value) for name, value in came if name.lower() not in dropped]
    hops = [value for name, value in came if name.lower() == "x-forwarded-for"]
    return [*kept, ("x-forwarded-for", ", ".join([*hops, source_ip]))]


def _named_by_connection(headers: Iterable[tuple[str, str]]) -> set[str]:
    """The headers that the sender says are for this hop alone, in lower case."""
    values = (value for name, value in headers if name.lower() == "connection")
    return {name.strip().lower() for value in values for name in value.split(",")}
