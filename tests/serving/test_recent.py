from fashionsearchnet.serving.recent import Recent


def test_what_was_not_used_for_longest_is_forgotten():
    recent = Recent(100)
    for number in range(5):
        recent.put("features", b"image %d" % number, number, 20)
    assert recent.get("features", b"image 0") == 0
    recent.put("features", b"image 5", 5, 20)
    assert recent.get("features", b"image 1") is None
    assert [recent.get("features", b"image %d" % n) for n in (0, 2, 5)] == [0, 2, 5]
    assert recent.get("predict", b"image 0") is None


def test_a_value_counts_once_and_memory_is_bounded():
    recent = Recent(100)
    for _ in range(10):
        recent.put("features", b"image", 1, 60)
    assert len(recent) == 1
    recent.put("features", b"other", 2, 60)
    assert len(recent) == 1 and recent.get("features", b"other") == 2
    recent.put("features", b"too large", 3, 101)
    assert len(recent) == 0
    recent.put("features", b"small", 4, 100)
    assert recent.get("features", b"small") == 4


def test_no_memory_means_no_values():
    recent = Recent(0)
    recent.put("features", b"image", 1, 10)
    assert recent.get("features", b"image") is None
