"""Whose turn it is: clients take turns, and when it is full, those who hold most give way."""

from collections import Counter, deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Turns(Generic[Item]):
    """Items that wait, in a line for each client, and whose item is at work. No lock of its own."""

    def __init__(self) -> None:
        self._lines: dict[str, deque[Item]] = {}  # the client whose turn is next comes first
        self._at_work: str | None = None  # the client whose item it is

    def __len__(self) -> int:
        return self._held().total()

    def append(self, client: str, item: Item) -> None:
        """Put an item at the end of its client's line."""
        self._lines.setdefault(client, deque()).append(item)

    def begin(self) -> Item | None:
        """Take the first item of the client whose turn it is to work on it; None without any."""
        if not self._lines:
            return None
        client = next(iter(self._lines))
        line = self._lines.pop(client)
        item = line.popleft()
        if line:
            self._lines[client] = line  # behind all others
        self._at_work = client
        return item

    def end(self) -> None:
        """Note that the item that `begin` returned is done."""
        self._at_work = None

    def remove(self, client: str, item: Item) -> bool:
        """Take an item out of its line; False if it waits no longer."""
        line = self._lines.get(client, deque())
        if item not in line:
            return False
        line.remove(item)
        if not line:
            del self._lines[client]
        return True

    def displace(self, count: int, client: str, coming: int) -> list[Item] | None:
        """Take out `count` items so that `client` can add as many as are `coming`.

        These are the newest of those who hold most. None if it would leave somebody with fewer
        than `client` would then have: nobody's fair share is taken.
        """
        held = self._held()
        least = held[client] + coming
        for _ in range(count):
            most = max(held, key=lambda other: held[other], default=client)
            if held[most] <= least:
                return None
            held[most] -= 1
        if self._at_work is not None:
            held[self._at_work] -= 1  # it stays
        lines = self._lines
        taken = [
            line.pop() for other, line in lines.items() for _ in range(len(line) - held[other])
        ]
        self._lines = {other: line for other, line in lines.items() if line}
        return taken

    def _held(self) -> Counter[str]:
        held = Counter({client: len(line) for client, line in self._lines.items()})
        if self._at_work is not None:
            held[self._at_work] += 1
        return held
