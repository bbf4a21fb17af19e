"""When cancels come: at moments that do not depend on each other, nor on who answers. Pure."""

from random import Random


def poisson(rate: float, count: int, random: Random) -> list[float]:
    """`count` moments, in seconds from the start, at a mean of `rate` a second.

    What users do comes so: now several at once, now none for a while. A server that is asked at
    even distances never shows what that costs.
    """
    moments = []
    moment = 0.0
    for _ in range(count):
        moment += random.expovariate(rate)
        moments.append(moment)
    return moments
