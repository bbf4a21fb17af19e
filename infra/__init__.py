"""All that is around the functions: clouds, emulators, clients, the local stack."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]  # of the repository
