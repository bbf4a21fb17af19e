"""Addresses of the Internet, and those that lead to no other machine than ours."""

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address

_NAT64 = IPv6Network("64:ff9b::/96")


def is_public(address: Address) -> bool:
    """Whether the address is one of the Internet: not of this machine, nor of a network that it is
    in, nor one that leads there in another dress."""
    match address:
        case IPv6Address() if inner := _inner(address):
            return is_public(inner)
        case IPv6Address(is_site_local=True):
            return False
        case _:
            return address.is_global and not address.is_multicast and not address.is_reserved


def _inner(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address to which an IPv6 address leads."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour


def written_as(host: str) -> Address | None:
    """The address that a URL's host is, in any form that is connected to (`2130706433` and `127.1`
    are 127.0.0.1); None for a name, which may lead anywhere. Asks nobody."""
    host = host.removesuffix(".")
    try:
        return ip_address(host)
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(host))
    except OSError:
        return None
