"""`python -m tests.simulation`: replays one seed, or plays schedules until one fails."""

import argparse
import sys
import time

from tests.simulation.run import play


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="of the one schedule, or of the first")
    parser.add_argument("--minutes", type=float, help="play so long, a schedule after the other")
    options = parser.parse_args()
    seed: int = time.time_ns() if options.seed is None else options.seed
    if options.minutes is None:
        return _replay(seed)
    return _search(seed, options.minutes)


def _replay(seed: int) -> int:
    played = play(seed)
    print(*played.world.stage.lines(), sep="\n")
    print(*(sentence for sentence, _ in played.wrong), f"seed {seed}", sep="\n")
    return bool(played.wrong)


def _search(first: int, minutes: float) -> int:
    began = time.monotonic()
    seed = first
    while time.monotonic() - began < 60 * minutes:
        played = play(seed)
        if played.wrong:
            print(played.report())
            return 1
        seed += 1
    print(f"{seed - first} schedules from seed {first} on, and nothing wrong")
    return 0


if __name__ == "__main__":
    sys.exit(main())
