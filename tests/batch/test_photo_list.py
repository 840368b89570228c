import tracemalloc

from car_damage.batch.photo_list import Block, listed


def test_a_list_has_blocks_of_500_photos_and_can_be_read_again():
    names = [f"cars/{number}.jpg" for number in range(1_203)]
    with listed(iter(names)) as photos:
        assert photos.count == 1_203
        assert list(photos) == list(photos) == names
        blocks = list(photos.blocks())
    assert [len(block.photos) for block in blocks] == [500, 500, 203]
    assert [name for block in blocks for name in block.photos] == names
    assert [block.name[:9] for block in blocks] == ["00000000-", "00000001-", "00000002-"]


def test_two_readers_of_a_list_do_not_disturb_each_other():
    with listed(map(str, range(2_000))) as photos:
        assert all(first == second for first, second in zip(photos, photos, strict=True))


def test_names_may_have_line_breaks_and_bytes_that_are_not_text():
    names = ["two\nlines.jpg", "\udcff.jpg", "é.jpg"]
    with listed(names) as photos:
        assert list(photos) == names
        assert [block.name for block in photos.blocks()] == [Block(0, tuple(names)).name]


def test_the_name_of_a_block_says_which_photos_in_which_order():
    named = {Block(0, photos).name for photos in (("a", "b"), ("b", "a"), ("ab",), ("a",))}
    assert len(named) == 4


def test_a_long_list_takes_no_more_memory_than_a_short_one():
    def peak(count: int) -> int:
        tracemalloc.start()
        with listed(f"s3://photos/2026/{number}.jpg" for number in range(count)) as photos:
            for _ in photos.blocks():
                pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(50_000) < 1.2 * peak(5_000)
