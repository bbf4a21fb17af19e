"""A token bucket."""

from infra.emulators.apigateway.options import Throttle


class Bucket:
    """The state of one throttle. Times are seconds of any clock that does not go back."""

    def __init__(self, throttle: Throttle, now: float) -> None:
        self._throttle = throttle
        self._tokens = float(throttle.burst)
        self._filled_at = now

    def take(self, now: float) -> bool:
        """Whether one more request may pass."""
        refill = (now - self._filled_at) * self._throttle.rate
        self._tokens = min(self._throttle.burst, self._tokens + refill)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
