"""Whose turn it is, and who gives way, without any service around it."""

import pytest

from car_damage.service.turns import Turns


def turns_of(**waiting: int) -> Turns[str]:
    """Turns in which each client waits with so many items: a0, a1 …"""
    turns: Turns[str] = Turns()
    for client, count in waiting.items():
        for number in range(count):
            turns.append(client, f"{client}{number}")
    return turns


def worked_off(turns: Turns[str]) -> list[str]:
    return list(iter(turns.begin, None))


def test_clients_take_turns_and_each_one_s_photos_keep_their_order():
    assert worked_off(turns_of(a=4, b=1, c=2)) == ["a0", "b0", "c0", "a1", "c1", "a2", "a3"]


def test_a_client_who_comes_later_waits_for_one_photo_of_each_other_at_most():
    turns = turns_of(a=9, b=9)
    assert [turns.begin(), turns.begin(), turns.begin()] == ["a0", "b0", "a1"]
    turns.append("c", "c0")
    assert worked_off(turns)[:3] == ["b1", "a2", "c0"]


def test_the_photo_at_work_counts_until_it_is_done():
    turns = turns_of(a=2)
    turns.begin()
    assert len(turns) == 2
    turns.end()
    assert len(turns) == 1


def test_what_waits_can_be_taken_out_once_but_not_what_is_at_work():
    turns = turns_of(a=2)
    turns.begin()
    assert [turns.remove("a", name) for name in ("a1", "a1", "a0", "b0")] == [True] + [False] * 3
    assert worked_off(turns) == []


def test_the_newest_photos_of_who_holds_most_give_way():
    turns = turns_of(a=5, b=3)
    assert turns.displace(2, "c", coming=2) == ["a4", "a3"]
    assert worked_off(turns) == ["a0", "b0", "a1", "b1", "a2", "b2"]


def test_half_of_the_room_is_a_newcomer_s_even_while_a_photo_is_at_work():
    turns = turns_of(a=64)
    turns.begin()
    displaced = turns.displace(32, "b", coming=32)
    assert displaced == [f"a{number}" for number in range(63, 31, -1)]


@pytest.mark.parametrize(
    ("waiting", "client", "coming"),
    [
        ({"a": 64}, "a", 1),  # one's own photos do not give way
        ({"a": 32, "b": 32}, "b", 1),  # who holds as many as the others
        ({"a": 22, "b": 21, "c": 21}, "d", 32),  # who wants more than the others have
        ({}, "a", 1),
    ],
)
def test_nobody_gives_way_to_a_client_who_would_hold_more_than_they(waiting, client, coming):
    turns = turns_of(**waiting)
    assert turns.displace(coming, client, coming) is None
    assert len(turns) == sum(waiting.values())


def test_a_client_whose_only_waiting_item_gave_way_has_no_turn():
    turns = turns_of(a=2)
    assert turns.begin() == "a0"
    assert turns.displace(1, "c", 1) == ["a1"]
    turns.end()
    assert turns.begin() is None
