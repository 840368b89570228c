from car_damage.wording import counted, not_looked_at, printable


def test_one_photo_is_singular():
    assert [counted(number, "photo") for number in (0, 1, 2, 1204)] == [
        "0 photos",
        "1 photo",
        "2 photos",
        "1,204 photos",
    ]


def test_lists_skipped_files_by_reason():
    skipped = {"photo outside damaged/ and not-damaged/": 2, ".pdf": 1, ".mov": 2}
    said = "skipped: 2 .mov, 1 .pdf, 2 photos outside damaged/ and not-damaged/"
    assert not_looked_at(skipped) == said
    assert not_looked_at({}) is None


def test_escapes_control_characters_in_names():
    assert printable("a\x1b[31mb\r\x9b\u202ec\udcff") == "a\\x1b[31mb\\r\\x9b\\u202ec\\udcff"
    assert printable("Zoë's car.jpg\n") == "Zoë's car.jpg\n"
    assert not_looked_at({".\x1b]0;x": 1}) == "skipped: 1 .\\x1b]0;x"
