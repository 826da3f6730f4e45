from __future__ import annotations

from netsky.relay.fair import Fair, Head, Room

A, B, C = b"a" * 32, b"b" * 32, b"c" * 32
WIDE = Room(100_000, 1 << 30, 1_000)


def queue(first: int, count: int, size: int, envelopes: int = 1) -> list[Head]:
    return [Head(first + at, envelopes, size) for at in range(count)]


def rows(picked: list[Head]) -> list[int]:
    return [head.row for head in picked]


def test_one_who_floods_gets_no_more_than_one_who_asks_now_and_then() -> None:
    fair = Fair(quantum=1_000)
    picked = fair.pick({A: queue(100, 500, 100), B: queue(1, 20, 100)}, Room(40, 1 << 20, 1_000))
    assert len([head for head in picked if head.row < 100]) == 20


def test_bytes_are_shared_not_frames() -> None:
    fair = Fair(quantum=1_000)
    picked = fair.pick({A: queue(1_000, 100, 1_000), B: queue(1, 100, 100)}, Room(1_000, 20_000, 1_000))
    large, small = (sum(head.bytes for head in picked if (head.row >= 1_000) is is_large) for is_large in (True, False))
    assert large == small == 10_000


def test_what_is_larger_than_a_quantum_has_its_turn_after_it_has_saved_for_it() -> None:
    fair = Fair(quantum=100)
    picked = fair.pick({A: [Head(1, 1, 250)], B: queue(10, 5, 100)}, WIDE)
    assert rows(picked) == [10, 11, 1, 12, 13, 14]


def test_who_has_nothing_saves_nothing() -> None:
    fair = Fair(quantum=100)
    fair.pick({A: queue(1, 1, 100)}, WIDE)
    for _ in range(50):
        fair.pick({B: queue(10, 1, 100)}, WIDE)
    picked = fair.pick({A: queue(1, 10, 100), B: queue(20, 10, 100)}, Room(4, 1 << 20, 1_000))
    assert len([head for head in picked if head.row < 20]) == 2


def test_a_turn_that_was_interrupted_goes_on_without_a_second_quantum() -> None:
    fair = Fair(quantum=300)
    heads = {A: queue(100, 50, 100), B: queue(200, 50, 100)}
    taken = {A: 0, B: 0}
    for _ in range(40):
        [head] = fair.pick(heads, Room(1, 1 << 20, 1_000))
        origin = A if head.row < 200 else B
        heads[origin] = heads[origin][1:]
        taken[origin] += 1
    assert abs(taken[A] - taken[B]) <= 3


def test_a_turn_that_was_interrupted_is_over_when_its_origin_has_nothing_that_may_go() -> None:
    fair = Fair(quantum=300)
    heads = {A: queue(100, 50, 100)}
    assert rows(fair.pick(heads, Room(1, 1 << 20, 1_000))) == [100]
    assert fair.pick({A: []}, WIDE) == [], "all of it is for an actor that is full"
    assert rows(fair.pick({A: queue(101, 3, 100)}, WIDE)) == [101, 102, 103]


def test_each_origin_keeps_its_own_order() -> None:
    fair = Fair(quantum=150)
    picked = rows(fair.pick({A: queue(100, 9, 100), B: queue(200, 9, 70), C: queue(300, 9, 10)}, WIDE))
    for first in (100, 200, 300):
        own = [row for row in picked if first <= row < first + 100]
        assert own == sorted(own)
        assert len(own) == 9


def test_the_room_is_kept_to_and_a_frame_fits_while_any_of_it_is_left() -> None:
    assert rows(Fair().pick({A: queue(1, 9, 100)}, Room(9, 250, 9))) == [1, 2, 3]
    assert rows(Fair().pick({A: queue(1, 9, 100, envelopes=4)}, Room(9, 1 << 20, 9))) == [1, 2]
    assert rows(Fair().pick({A: queue(1, 9, 100)}, Room(9, 1 << 20, 2))) == [1, 2]
    assert Fair().pick({A: queue(1, 9, 100)}, Room(9, 0, 9)) == []
    assert Fair().pick({}, WIDE) == []
