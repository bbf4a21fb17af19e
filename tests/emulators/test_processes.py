"""The port that a child process is to listen on."""

import socket
import sys

import pytest

from infra.emulators.processes import reserved_port

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux reserves a port")


@on_linux
def test_a_reserved_port_refuses_whoever_connects_until_its_server_listens() -> None:
    with reserved_port() as port:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        with (
            socket.create_server(("127.0.0.1", port)),
            socket.create_connection(("127.0.0.1", port)),
        ):
            pass


@on_linux
def test_a_reserved_port_is_given_to_nobody_who_takes_any() -> None:
    with reserved_port() as port:
        for _ in range(40_000):  # there are fewer
            with socket.socket() as other:
                other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                other.bind(("127.0.0.1", 0))
                assert other.getsockname()[1] != port


def test_a_port_on_which_somebody_listens_is_reserved_for_nobody() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(OSError, match="in use"), reserved_port(port):
            pass
