"""What the event loop itself reads of an upload."""

import struct

import cv2
import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the service is not installed: pip install .[serving]")

from fashionsearchnet.serving.errors import ApiError
from fashionsearchnet.serving.uploads import is_ready

MAX_PIXELS = 100_000
JPEG = cv2.imencode(".jpg", np.full((40, 32, 3), 99, np.uint8))[1].tobytes()


def with_segment(kind: int, content: bytes, times: int = 1) -> bytes:
    segment = bytes([0xFF, kind]) + struct.pack(">H", len(content) + 2) + content
    return JPEG[:2] + segment * times + JPEG[2:]


def test_a_small_clean_jpeg_is_ready():
    assert is_ready(JPEG, MAX_PIXELS)
    assert is_ready(with_segment(0xFE, b"a comment"), MAX_PIXELS)


@pytest.mark.parametrize(
    "data",
    [
        cv2.imencode(".png", np.full((40, 32, 3), 99, np.uint8))[1].tobytes(),
        cv2.imencode(".jpg", np.full((600, 32, 3), 99, np.uint8))[1].tobytes(),
        JPEG + bytes(1 << 16),
        JPEG[:50],
        with_segment(0xE1, b"Exif\0\0"),
        with_segment(0xE2, b"ICC_PROFILE\0"),
        with_segment(0xFE, b"", times=10_000),
        JPEG[:2] + b"\xff" * 50_000 + JPEG[2:],
    ],
    ids=["png", "large", "long file", "cut", "exif", "profile", "many segments", "fill bytes"],
)
def test_what_may_take_long_is_left_to_a_thread(data):
    assert not is_ready(data, MAX_PIXELS)


def test_an_absurd_size_is_refused_at_once():
    with pytest.raises(ApiError, match="at most 1,000 are decoded"):
        is_ready(JPEG, max_pixels=1_000)
