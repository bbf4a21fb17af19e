"""main.py as functions-framework meets it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def start(function: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs functions-framework until it ends by itself."""
    return subprocess.run(  # noqa: S603
        [sys.executable, "-m", "functions_framework", "--target", function, "--port", "0"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("function", ["gateway", "deliver", "push", "sweep"])
def test_a_function_without_its_settings_says_what_is_missing_and_does_not_start(
    function: str,
) -> None:
    ended = start(function)
    assert ended.returncode != 0
    assert "GOOGLE_CLOUD_PROJECT is missing" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_function_in_the_cloud_refuses_an_emulator() -> None:
    ended = start(
        "push",
        K_SERVICE="push",
        GOOGLE_CLOUD_PROJECT="unring-test",
        FIRESTORE_EMULATOR_HOST="127.0.0.1:8080",
    )
    assert ended.returncode != 0
    assert "FIRESTORE_EMULATOR_HOST points at an emulator" in ended.stderr


def test_there_is_no_fifth_function() -> None:
    ended = start("cancel")
    assert ended.returncode != 0
    assert "cancel" in ended.stderr
