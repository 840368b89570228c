"""A fair queue: clients take turns, and the client with the most items makes room for others."""

from collections import Counter, deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Turns(Generic[Item]):
    """Waiting items in a line for each client, plus at most one item at work. It has no lock."""

    def __init__(self) -> None:
        self._lines: dict[str, deque[Item]] = {}  # the first client has the next turn
        self._at_work: str | None = None  # the client of the item at work

    def __len__(self) -> int:
        return self._held().total()

    def append(self, client: str, item: Item) -> None:
        """Add an item at the end of its client's line."""
        self._lines.setdefault(client, deque()).append(item)

    def begin(self) -> Item | None:
        """Take the next client's first item to work on it. Return None if no item waits."""
        if not self._lines:
            return None
        client = next(iter(self._lines))
        line = self._lines.pop(client)
        item = line.popleft()
        if line:
            self._lines[client] = line  # after all other clients
        self._at_work = client
        return item

    def end(self) -> None:
        """Mark the item that `begin` returned as done."""
        self._at_work = None

    def remove(self, client: str, item: Item) -> bool:
        """Remove an item from its line. Return False if it is not waiting."""
        line = self._lines.get(client, deque())
        if item not in line:
            return False
        line.remove(item)
        if not line:
            del self._lines[client]
        return True

    def displace(self, count: int, client: str, coming: int) -> list[Item] | None:
        """Remove and return `count` items so that `client` can add `coming` new ones.

        The newest items of the clients with the most items are removed. Return None and remove
        nothing if another client would then have fewer items than `client`.
        """
        held = self._held()
        least = held[client] + coming
        for _ in range(count):
            most = max(held, key=lambda other: held[other], default=client)
            if held[most] <= least:
                return None
            held[most] -= 1
        if self._at_work is not None:
            held[self._at_work] -= 1  # the item at work cannot be removed
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
