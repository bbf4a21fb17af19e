"""Which hosts no proxy is asked for."""

import pytest

from infra.loopback import spare_loopback

LOOPBACK = "127.0.0.1,localhost,::1"


@pytest.mark.parametrize("name", ["http_proxy", "HTTPS_PROXY", "all_proxy", "grpc_proxy"])
def test_whatever_the_proxy_loopback_is_exempt_from_it(name: str) -> None:
    environ = {name: "http://proxy.example:3128"}
    spare_loopback(environ)
    assert environ == {
        name: "http://proxy.example:3128",
        "no_proxy": LOOPBACK,
        "NO_PROXY": LOOPBACK,
    }


def test_what_was_exempt_stays_so() -> None:
    environ = {"http_proxy": "p", "no_proxy": "a.example, localhost", "no_grpc_proxy": "b.example"}
    for _ in range(2):  # the second time changes nothing
        spare_loopback(environ)
        assert environ == {
            "http_proxy": "p",
            "no_proxy": "a.example,localhost,127.0.0.1,::1",
            "NO_PROXY": LOOPBACK,
            "no_grpc_proxy": f"b.example,{LOOPBACK}",
        }


@pytest.mark.parametrize(
    "environ", [{}, {"http_proxy": ""}, {"no_proxy": "*"}, {"no_proxy": "a.example"}]
)
def test_an_environment_without_a_proxy_is_left_alone(environ: dict[str, str]) -> None:
    before = dict(environ)
    spare_loopback(environ)
    assert environ == before


def test_who_exempts_everything_need_not_exempt_loopback_but_for_grpc() -> None:
    environ = {"http_proxy": "p", "no_proxy": "*", "NO_PROXY": "*"}
    spare_loopback(environ)
    assert (environ["no_proxy"], environ["NO_PROXY"]) == ("*", "*")
    assert environ["no_grpc_proxy"] == LOOPBACK
