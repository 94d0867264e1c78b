"""Uploads with random damages: the service answers or refuses, and never fails.

`make test` tries a few. 10,000:

  DAMAGES=10000 .venv/bin/python -m pytest tests/serving/test_damaged_uploads.py
"""

import io
import os

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from service_fakes import FakeIndex, FakeModel

from fashionsearchnet.serving.app import create_app


def uploads():
    pixels = np.random.default_rng(0).integers(0, 256, (32, 40, 3), np.uint8)
    files = []
    for encoding in ("JPEG", "PNG", "WEBP", "BMP", "GIF"):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, encoding)
        files.append(file.getvalue())
    return files


@pytest.fixture(scope="module")
def client():
    with TestClient(create_app(FakeModel(), FakeIndex())) as client:
        yield client


@settings(
    max_examples=int(os.environ.get("DAMAGES", "40")),
    deadline=None,
    database=None,
    derandomize="DAMAGES" not in os.environ,
    suppress_health_check=list(HealthCheck),
)
@given(
    st.sampled_from(uploads()),
    st.lists(
        st.tuples(st.integers(0, 5_000), st.integers(0, 60), st.binary(max_size=8)), max_size=4
    ),
)
def test_no_damaged_upload_breaks_the_service(client, data, damages):
    for at, removed, inserted in damages:
        at %= len(data) + 1
        data = data[:at] + inserted + data[at + removed :]
    answer = client.post("/v1/search", files={"image": ("a.jpg", data)}, data={"k": "3"})
    assert answer.status_code in (200, 413, 415, 422), answer.text
    assert ("error" in answer.json()) == (answer.status_code != 200)
