"""This machine talks to itself without asking a proxy, whatever the environment says of one."""

from collections.abc import Mapping, MutableMapping

LOOPBACK = ("127.0.0.1", "localhost", "::1")
# gRPC asks only the first of these that is set; curl, Node and Python's libraries the others.
_EXEMPT = ("no_grpc_proxy", "no_proxy", "NO_PROXY")


def spare_loopback(environ: MutableMapping[str, str]) -> None:
    """Exempts loopback from the proxies that `environ` names; other hosts keep theirs."""
    if not names_proxy(environ):
        return
    exempt = {name: environ[name] for name in _EXEMPT if environ.get(name)}
    for name in {"no_proxy", "NO_PROXY", *exempt}:
        hosts = [host.strip() for host in exempt.get(name, "").split(",") if host.strip()]
        if "*" not in hosts:
            added = [host for host in LOOPBACK if host not in hosts]
            environ[name] = ",".join([*hosts, *added])
        elif "no_grpc_proxy" not in exempt:
            environ["no_grpc_proxy"] = ",".join(LOOPBACK)  # gRPC does not know what * stands for


def names_proxy(environ: Mapping[str, str]) -> bool:
    """Whether `environ` names a proxy, of any kind."""
    return any(
        value and name.lower().endswith("_proxy") and not name.lower().startswith("no_")
        for name, value in environ.items()
    )
