"""What an instance remembers of what it met last: only so much, and the oldest is forgotten."""

from collections import OrderedDict
from typing import Generic, TypeVar

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Recent(Generic[_Key, _Value]):
    """Values by key. Of more than `most`, those are forgotten that were not asked for longest."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[_Key, _Value] = OrderedDict()

    def latest(self, key: _Key, fresh: _Value) -> _Value:
        """The value of `key`, which is the latest from now on; `fresh` if it has none yet."""
        value = self._values.setdefault(key, fresh)
        self._values.move_to_end(key)
        if len(self._values) > self._most:
            self._values.popitem(last=False)
        return value

    def get(self, key: _Key) -> _Value | None:
        return self._values.get(key)

    def put(self, key: _Key, value: _Value) -> None:
        """Makes `value` that of `key`, and `key` the latest."""
        self.forget(key)
        self.latest(key, value)

    def forget(self, key: _Key) -> None:
        self._values.pop(key, None)
