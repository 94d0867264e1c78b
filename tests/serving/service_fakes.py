"""A model and an index in memory, with the interfaces of the real ones, and bad uploads.

The model sees the mean colour of an image; its vector is that colour, or the edited one.
"""

import asyncio
import contextlib
import struct
import threading
import zlib
from collections.abc import AsyncIterator
from types import SimpleNamespace

import cv2
import httpx
import numpy as np
import tensorflow as tf
from fakes import SPACE

from fashionsearchnet.index.items import Item, ItemTable, Neighbours
from fashionsearchnet.networks.image_input import ImageInput
from fashionsearchnet.serving.app import create_app
from fashionsearchnet.serving.calls import Prediction, UndecodableImage
from fashionsearchnet.serving.export_folder import ExportDescription
from fashionsearchnet.serving.limits import Limits

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
ODD_IDS = ("../../etc/passwd", "<script>alert(1)</script>", "a/b c?d=e&f#\u00fc", "/image")


def picture(colour: tuple[int, int, int] = RED, suffix: str = ".png", side: int = 32) -> bytes:
    """Returns an encoded image of one RGB colour."""
    image = np.full((side, side, 3), colour[::-1], np.uint8)
    return cv2.imencode(suffix, image)[1].tobytes()


def png_bomb(width: int = 30_000, height: int = 30_000) -> bytes:
    """Returns a small PNG file whose header promises very many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 1_000_000)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return start + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


class FakeModel:
    """Reads the colour of an image.

    `gate` holds up its passes, `calls` lists those that began, `edits` the edits of features.
    """

    space = SPACE
    fingerprint = "0123456789abcdef"
    dim = 3

    def __init__(
        self, has_attention: bool = True, fit: str = "pad", gives_features: bool = True
    ) -> None:
        image_input = ImageInput(32, fit=fit)
        self.description = ExportDescription(
            "fake", "plain", self.fingerprint, self.dim, image_input, None
        )
        self.gives_features = gives_features  # False as in exports of an earlier version
        self.calls: list[tuple[str, int]] = []
        self.edits: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        self.has_attention = has_attention

    def encode_query(self, images, manipulations):
        self._enter("encode_query", images)
        vectors = np.stack([self._mean(data) for data in images])
        for row, colour in enumerate(manipulations[:, 0]):
            if colour >= 0:
                vectors[row] = np.eye(3)[colour]
        return vectors.astype(np.float32), self._probabilities(images)

    def predict(self, images):
        self._enter("predict", images)
        probabilities = self._probabilities(images)
        values = np.stack([probabilities[:, :3].argmax(1), *np.zeros((2, len(images)), int)], 1)
        maps = np.zeros((len(images), 3, 4, 4), np.float32)
        maps[:, :, 1, 2] = 1.0
        boxes = np.tile(np.array([0.25, 0.5, 0.5, 0.75], np.float32), (len(images), 3, 1))
        if not self.has_attention:
            return Prediction(probabilities, values.astype(np.int32), None, None)
        return Prediction(probabilities, values.astype(np.int32), maps, boxes)

    def query_features(self, images, manipulations):
        self._enter("query_features", images)
        mean = np.stack([self._mean(data) for data in images]).astype(np.float32)
        features = {"mean": mean}
        return features, self._probabilities(images), self._edited(features, manipulations)

    def embed_query(self, features, manipulations):
        self.edits.append(len(manipulations))
        return self._edited(features, manipulations)

    def _edited(self, features, manipulations):
        vectors = features["mean"].copy()
        for row, colour in enumerate(manipulations[:, 0]):
            if colour >= 0:
                vectors[row] = np.eye(3)[colour]
        return vectors

    def _enter(self, name, images):
        self.calls.append((name, len(images)))
        self.gate.wait(20)

    def _probabilities(self, images):
        colours = np.stack([self._mean(data) for data in images]) + 0.01
        colours /= colours.sum(axis=1, keepdims=True)
        sleeve, neckline = [0.75, 0.25], [0.4, 0.3, 0.2, 0.1]
        rest = np.tile([*sleeve, *neckline], (len(images), 1))
        return np.concatenate([colours, rest], axis=1).astype(np.float32)

    def _mean(self, data: bytes) -> np.ndarray:
        if data == b"poison":
            raise ValueError("this image fails its batch")
        try:
            image = tf.io.decode_image(data, channels=3, expand_animations=False).numpy()
        except tf.errors.InvalidArgumentError as error:
            raise UndecodableImage("as an export does") from error
        return image.mean(axis=(0, 1)) / 255


class FakeIndex:
    """Items of plain colours, searched one by one."""

    label_blend = None
    dim = 3
    state = "000001"
    engine = SimpleNamespace(prepare=lambda: None)
    blocks = SimpleNamespace(is_complete=False)  # as in an index of an earlier version

    def __init__(self) -> None:
        self.ids: list[str] = []
        self._images: dict[str, bytes | None] = {}
        self._vectors: list[np.ndarray] = []
        rows = []
        colours = [RED, GREEN, BLUE]
        for number in range(12):
            colour = number % 3
            self._add(f"item-{number}", colours[colour], 0.9 + number / 100)
            rows.append([colour, number % 2, number % 4 if number > 4 else -1])
        for name in (*ODD_IDS, "imageless"):
            self._add(name, BLUE, 0.5)
            rows.append([2, -1, -1])
        self._images["imageless"] = None
        self.values = np.array(rows, np.int32)
        colour = np.argmax([vector for vector in self._vectors], axis=1)
        self.predicted = np.stack([colour, 0 * colour, 0 * colour], axis=1).astype(np.int32)
        self.items = ItemTable(SPACE.num_attributes)
        items = [Item(name, row) for name, row in zip(self.ids, self.values, strict=True)]
        keys = self.items.reserve(len(items))
        self.items.append(items, keys, self.values, [""] * len(items), self.predicted)

    def _add(self, name: str, colour: tuple[int, int, int], strength: float) -> None:
        self.ids.append(name)
        self._images[name] = picture(colour)
        self._vectors.append(np.array(colour) / 255 * strength)

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, name: object) -> bool:
        return name in self.ids

    def is_current(self) -> bool:
        return True

    def get(self, name: str) -> Item:
        if name not in self.ids:
            raise KeyError(name)
        return Item(name, self.values[self.ids.index(name)])

    def image(self, name: str) -> bytes | None:
        return self._images[name]

    def matching(self, filters, must=None, one_per_group=False):
        allowed = np.ones(len(self), bool)
        for name, values in {**(must or {}), **filters}.items():
            wanted = [SPACE.value_index(name, value) for value in values]
            allowed &= np.isin(self.values[:, SPACE.attribute_index(name)], wanted)
        return np.flatnonzero(allowed)

    def search(self, queries, k, filters=None, must=None, one_per_group=False):
        positions = self.matching(filters or {}, must)
        found = []
        for query in queries:
            distances = np.linalg.norm(np.array(self._vectors)[positions] - query, axis=1)
            order = np.argsort(distances, kind="stable")[:k]
            nearest = positions[order]
            ids = [self.ids[p] for p in nearest]
            labels = self.values[nearest]
            nearest_distances = distances[order].astype(np.float32)
            found.append(Neighbours(ids, nearest_distances, labels, self.predicted[nearest]))
        return found

    def check_model(self, fingerprint, space):
        if (fingerprint, space) != (FakeModel.fingerprint, SPACE):
            raise ValueError("vectors of another model")


@contextlib.asynccontextmanager
async def running(
    model: FakeModel | None = None, index: FakeIndex | None = None, **settings
) -> AsyncIterator[httpx.AsyncClient]:
    """Yields a client of a started and warm app, on the event loop of the test.

    The client's attribute `app` is the app. The calls of the warm-up are not in `model.calls`.
    """
    model = model or FakeModel()
    app = create_app(model, index or FakeIndex(), Limits(**settings))  # type: ignore[arg-type]
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app):
        await asyncio.wait_for(app.state.service.warm.wait(), 20)
        model.calls.clear()
        model.edits.clear()
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            client.app = app  # type: ignore[attr-defined]
            yield client
