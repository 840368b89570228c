"""The fair queue: whose turn it is, and who makes room."""

import pytest

from car_damage.service.turns import Turns


def turns_of(**waiting: int) -> Turns[str]:
    """A queue in which each client has this many waiting items, named a0, a1 …"""
    turns: Turns[str] = Turns()
    for client, count in waiting.items():
        for number in range(count):
            turns.append(client, f"{client}{number}")
    return turns


def worked_off(turns: Turns[str]) -> list[str]:
    return list(iter(turns.begin, None))


def test_clients_take_turns_and_each_client_s_items_keep_their_order():
    assert worked_off(turns_of(a=4, b=1, c=2)) == ["a0", "b0", "c0", "a1", "c1", "a2", "a3"]


def test_a_new_client_waits_for_at_most_one_item_of_each_other_client():
    turns = turns_of(a=9, b=9)
    assert [turns.begin(), turns.begin(), turns.begin()] == ["a0", "b0", "a1"]
    turns.append("c", "c0")
    assert worked_off(turns)[:3] == ["b1", "a2", "c0"]


def test_the_item_at_work_counts_until_it_is_done():
    turns = turns_of(a=2)
    turns.begin()
    assert len(turns) == 2
    turns.end()
    assert len(turns) == 1


def test_a_waiting_item_can_be_removed_but_the_one_at_work_cannot():
    turns = turns_of(a=2)
    turns.begin()
    assert [turns.remove("a", name) for name in ("a1", "a1", "a0", "b0")] == [True] + [False] * 3
    assert worked_off(turns) == []


def test_the_newest_items_of_the_client_with_the_most_make_room():
    turns = turns_of(a=5, b=3)
    assert turns.displace(2, "c", coming=2) == ["a4", "a3"]
    assert worked_off(turns) == ["a0", "b0", "a1", "b1", "a2", "b2"]


def test_a_new_client_gets_half_of_a_full_queue_even_while_an_item_is_at_work():
    turns = turns_of(a=64)
    turns.begin()
    displaced = turns.displace(32, "b", coming=32)
    assert displaced == [f"a{number}" for number in range(63, 31, -1)]


@pytest.mark.parametrize(
    ("waiting", "client", "coming"),
    [
        ({"a": 64}, "a", 1),  # a client's own items do not make room
        ({"a": 32, "b": 32}, "b", 1),  # the client has as many as the others
        ({"a": 22, "b": 21, "c": 21}, "d", 32),  # the client wants more than the others have
        ({}, "a", 1),
    ],
)
def test_nobody_makes_room_for_a_client_that_would_then_have_more(waiting, client, coming):
    turns = turns_of(**waiting)
    assert turns.displace(coming, client, coming) is None
    assert len(turns) == sum(waiting.values())


def test_a_client_whose_last_waiting_item_was_removed_has_no_turn():
    turns = turns_of(a=2)
    assert turns.begin() == "a0"
    assert turns.displace(1, "c", 1) == ["a1"]
    turns.end()
    assert turns.begin() is None
