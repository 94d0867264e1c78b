"""A service with a fake model for the page to talk to, and a browser to look at it with."""

import contextlib
import dataclasses
import shutil
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import uvicorn
from fastapi.testclient import TestClient

from fashionsearchnet.attributes import KEEP, MISSING, AttributeSpace
from fashionsearchnet.index.gallery_index import GalleryIndex
from fashionsearchnet.index.items import Item
from fashionsearchnet.networks.image_input import ImageInput, VectorInput, encode_vector
from fashionsearchnet.serving.app import create_app
from fashionsearchnet.serving.calls import Prediction
from fashionsearchnet.serving.export_folder import ExportDescription
from fashionsearchnet.serving.limits import Limits

MARKUP = "<img src=x onerror=alert(1)>"
SPACE = AttributeSpace.from_dict(
    {
        "colour": ["red", "green", "blue"],
        "neckline": ["round", "v-neck", "boat"],
        "brand": [f"brand {letter}" for letter in "ABCDEFGHIJKL"],
        "<b>cut</b>": [MARKUP, "plain & simple"],
    }
)
NUM_ITEMS = 60
MISREAD, UNLABELLED = 58, 59  # numbers of items: the neckline is read wrongly; without labels
ODD_ID = 'odd/<b>id</b> ?&#"%2F'
_SIDE, _STEP = 48, 20  # pixels of an image; grey levels between two values
_CERTAINTY = 0.9
_WRONG_NECKLINE = 2
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]


def browser_path() -> str | None:
    """Returns where an installed Chromium is, or None."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


def item_values(number: int) -> list[int]:
    """Returns the values of a gallery item."""
    return [number % 3, number // 3 % 3, number % 12, number // 36]


def item_id(number: int) -> str:
    """Returns the id of a gallery item; the first one is odd."""
    return ODD_ID if number == 0 else f"item-{number:02d}"


def item_columns(number: int) -> dict[str, str]:
    """Returns what a shop shows of an item; some have no link, and one a dangerous one."""
    columns = {"title": f"Shirt {number:02d}", "price": f"{number}.90"}
    if number == 0:
        columns["title"] = MARKUP
    if number % 3:
        columns["link"] = f"https://shop.example/{number}"
    elif number == 3:
        columns["link"] = "javascript:alert(1)"
    return columns


def products() -> list[str]:
    """Returns the products of the items: every two pictures of the first forty show one."""
    return [f"product {number // 2}" if number < 40 else "" for number in range(NUM_ITEMS)]


def picture(values: Sequence[float]) -> bytes:
    """Returns a PNG with one band per attribute, whose brightness is the value.

    A value between two whole ones is read with less certainty.
    """
    image = np.zeros((_SIDE, _SIDE, 3), np.uint8)
    for band, value in zip(np.array_split(image, len(values)), values, strict=True):
        band[:] = round(_STEP * (value + 1))
    return cv2.imencode(".png", image)[1].tobytes()


class FakeModel:
    """Reads the bands of `picture`, and represents an image by one-hot values."""

    space = SPACE
    fingerprint = "0123456789abcdef"
    dim = SPACE.total_values
    gives_features = False
    encoded = staticmethod(picture)
    description = ExportDescription(
        "fake", "plain", fingerprint, dim, ImageInput(_SIDE), geometry=None
    )

    def encode_query(self, images, manipulations):
        levels = self._read(images)
        edited = np.where(manipulations == KEEP, self._values(levels), manipulations)
        return self._one_hot(edited), self._probabilities(levels)

    def predict(self, images):
        levels = self._read(images)
        values = self._values(levels)
        maps = np.zeros((len(images), SPACE.num_attributes, 4, 4), np.float32)
        maps[:, :, 1, 2] = 1
        boxes = np.tile(np.array([0.25, 0.5, 0.5, 0.75], np.float32), (*values.shape, 1))
        return Prediction(self._probabilities(levels), values, maps, boxes)

    def _read(self, images: Sequence[bytes]) -> np.ndarray:
        rows = []
        for data in images:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
            assert image is not None
            bands = np.array_split(image, SPACE.num_attributes)
            levels = [float(band.mean()) / _STEP - 1 for band in bands]
            rows.append(np.clip(levels, 0, np.array(SPACE.num_values) - 1))
        return np.array(rows)

    @staticmethod
    def _values(levels: np.ndarray) -> np.ndarray:
        return np.round(levels).astype(np.int32)

    def _probabilities(self, levels: np.ndarray) -> np.ndarray:
        """The nearer a level is to a whole one, the surer is its value; the next gets the rest."""
        values, sizes = self._values(levels), np.array(SPACE.num_values)
        doubt = np.repeat(np.abs(levels - values), sizes, axis=1)
        others = np.where(levels > values, values + 1, values - 1) % sizes
        rest = np.repeat((1 - _CERTAINTY) / (sizes - 1), sizes)
        likely = np.where(self._one_hot(values) > 0, _CERTAINTY - doubt, rest)
        return (likely + doubt * self._one_hot(others)).astype(np.float32)

    @staticmethod
    def _one_hot(values: np.ndarray) -> np.ndarray:
        blocks = [np.eye(size)[values[:, a]] for a, size in enumerate(SPACE.num_values)]
        return np.concatenate(blocks, axis=1).astype(np.float32)


class FakeVectorModel(FakeModel):
    """Reads vectors of one number per attribute, one more than the value."""

    description = ExportDescription(
        "fake",
        None,
        FakeModel.fingerprint,
        FakeModel.dim,
        VectorInput(SPACE.num_attributes, metric="euclidean", features="fake"),
        geometry=None,
    )

    @staticmethod
    def encoded(values: Sequence[float]) -> bytes:
        """Returns the vector of some values."""
        return encode_vector(np.add(values, 1, dtype=np.float32))

    def predict(self, images):
        return dataclasses.replace(super().predict(images), maps=None, boxes=None)

    def _read(self, images: Sequence[bytes]) -> np.ndarray:
        levels = np.stack([np.frombuffer(data, "<f4") for data in images]) - 1
        return np.clip(levels, 0, np.array(SPACE.num_values) - 1)


def make_index(directory: Path, model: FakeModel) -> GalleryIndex:
    """Returns an index of `NUM_ITEMS` pictures."""
    index = GalleryIndex.create(
        directory, space=SPACE, fingerprint=model.fingerprint, dim=model.dim
    )
    rows = [item_values(number) for number in range(NUM_ITEMS)]
    seen = [list(row) for row in rows]
    seen[MISREAD][1] = _WRONG_NECKLINE
    pictures = [model.encoded(row) for row in seen]
    rows[UNLABELLED] = [MISSING] * SPACE.num_attributes
    items = [
        Item(item_id(number), np.array(row, np.int32), image, item_columns(number), product)
        for number, (row, image, product) in enumerate(zip(rows, pictures, products(), strict=True))
    ]
    keep = np.full((NUM_ITEMS, SPACE.num_attributes), KEEP)
    vectors, probabilities = model.encode_query(pictures, keep)
    index.put(items, vectors, probabilities=probabilities)
    index.commit()
    return index


@contextlib.contextmanager
def client_of(directory: Path, model: FakeModel) -> Iterator[TestClient]:
    """Yields a client of the service, which runs in the process of the test."""
    app = create_app(model, make_index(directory, model))  # type: ignore[arg-type]
    with TestClient(app) as client:
        yield client


@contextlib.contextmanager
def running_service(directory: Path, model: FakeModel) -> Iterator[str]:
    """Yields the address of the service, which runs in a thread."""
    limits = Limits(max_upload_bytes=200_000)
    app = create_app(model, make_index(directory, model), limits)  # type: ignore[arg-type]
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, log_level="warning", timeout_graceful_shutdown=2)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        if time.monotonic() > deadline or not thread.is_alive():
            raise RuntimeError("the service did not start within 20 seconds.")
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}/"
    server.should_exit = True
    thread.join(10)
    if thread.is_alive():
        frames = sys._current_frames()
        stacks = {
            other.name: "".join(traceback.format_stack(frames[other.ident], limit=6))
            for other in threading.enumerate()
            if other.ident in frames
        }
        open_ones = server.server_state.connections
        warnings.warn(f"the service did not stop; {open_ones}; {stacks}", stacklevel=1)
