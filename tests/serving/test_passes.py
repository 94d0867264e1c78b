import asyncio

import numpy as np
import pytest
from fakes import SPACE

pytest.importorskip("fastapi", reason="the service is not installed: pip install .[serving]")

from service_fakes import BLUE, GREEN, RED, FakeModel, picture

from fashionsearchnet.attributes import KEEP
from fashionsearchnet.serving.limits import Limits
from fashionsearchnet.serving.monitoring import Metrics
from fashionsearchnet.serving.passes import Passes
from fashionsearchnet.serving.recent import key_of

IMAGES = [picture(colour) for colour in (RED, GREEN, BLUE)]


def test_what_is_kept_of_an_image_does_not_keep_its_batch():
    model = FakeModel()
    keep = np.full(SPACE.num_attributes, KEEP, np.int32)

    async def ask_together() -> Passes:
        passes = Passes(model, Limits(max_wait_ms=1000), Metrics(), lambda: len(IMAGES))
        passes.start()
        await asyncio.gather(*(passes.encode(image, keep) for image in IMAGES))
        await asyncio.gather(*(passes.predict(image) for image in IMAGES))
        await passes.close()
        return passes

    passes = asyncio.run(ask_together())
    assert model.calls == [("query_features", 3), ("predict", 3)]
    for image in IMAGES:
        features = passes.recent.get(key_of("image_features", image))
        found = passes.recent.get(key_of("predict", image))
        arrays = [*features.features.values(), features.probabilities, *vars(found).values()]
        assert len(arrays) == 6 and all(array.base is None for array in arrays)
