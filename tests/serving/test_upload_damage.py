"""Uploads with random damage: each is refused in words or becomes an image that the model decodes.

DAMAGES=10000 in the environment tries as many.
"""

import contextlib
import os
import struct

import cv2
import numpy as np
import pytest
import tensorflow as tf

from fashionsearchnet.export.decoding import decode_upright
from fashionsearchnet.networks.image_input import ImageInput
from fashionsearchnet.serving.errors import ApiError
from fashionsearchnet.serving.limits import Limits
from fashionsearchnet.serving.uploads import prepare_image

hypothesis = pytest.importorskip("hypothesis")
st = hypothesis.strategies

NUM_EXAMPLES = int(os.environ.get("DAMAGES", "150"))
MAX_PIXELS = Limits().max_pixels


def _pictures() -> list[bytes]:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (6, 5, 4), np.uint8).repeat(8, 0).repeat(8, 1)
    plain = [cv2.imencode(suffix, coarse[..., :3])[1].tobytes() for suffix in (".jpg", ".bmp")]
    clear = [cv2.imencode(suffix, coarse)[1].tobytes() for suffix in (".png", ".webp")]
    grey = cv2.imencode(".png", coarse[..., 0])[1].tobytes()
    exif = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)
    segment = b"Exif\0\0" + exif
    turned = plain[0][:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment
    return [*plain, *clear, grey, turned + plain[0][2:]]


PICTURES = _pictures()
DECODE = tf.function(
    lambda data: decode_upright(data, ImageInput(8))[0],
    input_signature=[tf.TensorSpec([], tf.string)],
    autograph=False,
)


@st.composite
def damaged(draw) -> bytes:
    """Bits flipped, bytes cut out, repeated or put in, or the end missing."""
    data = bytearray(draw(st.sampled_from(PICTURES)))
    for _ in range(draw(st.integers(1, 4))):
        # Headers are short, and what is wrong in them matters most.
        most = draw(st.sampled_from([40, 200, len(data)]))
        place = draw(st.integers(0, max(0, min(most, len(data)) - 1)))
        length = draw(st.integers(0, 40))
        match draw(st.sampled_from(["flip", "cut", "repeat", "insert", "end"])):
            case "flip" if data:
                data[place] ^= 1 << draw(st.integers(0, 7))
            case "cut":
                del data[place : place + length]
            case "repeat":
                data[place:place] = data[place : place + length]
            case "insert":
                data[place:place] = draw(st.binary(max_size=40))
            case "end":
                del data[place:]
    return bytes(data)


@hypothesis.settings(
    max_examples=NUM_EXAMPLES,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(hypothesis.HealthCheck),
)
@hypothesis.given(damaged())
def test_a_damaged_upload_is_refused_in_words_or_read(data):
    try:
        image = prepare_image(data, MAX_PIXELS)
    except ApiError as refusal:
        assert refusal.status in (413, 415, 422)
        assert refusal.message.endswith(".") and "Traceback" not in refusal.message
    else:
        if image != data:  # else nobody has decoded it yet
            assert DECODE(tf.constant(image)).shape[-1] == 3
    with contextlib.suppress(tf.errors.InvalidArgumentError):  # what an export meets unprepared
        assert DECODE(tf.constant(data)).shape[-1] == 3
