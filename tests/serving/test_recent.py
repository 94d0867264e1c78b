from fashionsearchnet.serving.recent import ENTRY_BYTES, Recent, key_of


def key(name: bytes, kind: str = "features"):
    return key_of(kind, name)


def of(*num_bytes: int) -> Recent:
    """One that has room for values of so many bytes."""
    return Recent(sum(num_bytes) + len(num_bytes) * ENTRY_BYTES)


def test_what_was_not_used_for_longest_is_forgotten():
    recent = of(*[20] * 5)
    for number in range(5):
        recent.put(key(b"image %d" % number), number, 20)
    assert recent.get(key(b"image 0")) == 0
    recent.put(key(b"image 5"), 5, 20)
    assert recent.get(key(b"image 1")) is None
    assert [recent.get(key(b"image %d" % n)) for n in (0, 2, 5)] == [0, 2, 5]
    assert recent.get(key(b"image 0", "predict")) is None


def test_a_value_counts_once_and_memory_is_bounded():
    recent = of(100)
    for _ in range(10):
        recent.put(key(b"image"), 1, 60)
    assert len(recent) == 1
    recent.put(key(b"other"), 2, 60)
    assert len(recent) == 1 and recent.get(key(b"other")) == 2
    recent.put(key(b"too large"), 3, 101)
    assert len(recent) == 0
    recent.put(key(b"small"), 4, 100)
    assert recent.get(key(b"small")) == 4


def test_no_memory_means_no_values():
    recent = Recent(0)
    recent.put(key(b"image"), 1, 10)
    assert recent.get(key(b"image")) is None
