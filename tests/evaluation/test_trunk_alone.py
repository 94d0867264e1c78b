import numpy as np
from fakes import FakeDataset

from fashionsearchnet import evaluation
from fashionsearchnet.evaluation import trunk_alone
from fashionsearchnet.evaluation.trunk_alone import TrunkAlone


def test_a_trunk_answers_every_task_with_one_vector(monkeypatch, tmp_path):
    monkeypatch.setattr(trunk_alone, "load_pretrained", lambda backbone, source: [])
    dataset = FakeDataset(sizes={"query": 6, "gallery": 24})
    system = TrunkAlone.of_images(dataset, "gallery", "efficientnet_lite0", 32)
    (images,) = dataset.images("gallery", system.image_input)
    vectors = system.encode_gallery(images).numpy()
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-4)
    edits = np.array([[1, -1, -1]] * len(vectors), np.int32)
    np.testing.assert_array_equal(system.encode_query(images, edits), vectors)
    np.testing.assert_array_equal(system.encode_attribute(images, 2), vectors)
    np.testing.assert_array_equal(system.encode_instance(images), vectors)
    protocol = evaluation.AttributeProtocol(num_resamples=10)
    measured = evaluation.evaluate(system, dataset, protocol)
    assert measured.rows[-1].name == "efficientnet_lite0 as it is"
    stored = evaluation.evaluate(system, dataset, protocol, trunk_outputs=tmp_path)
    assert len(list(tmp_path.glob("*.npy"))) == 2
    for name, values in measured.rows[-1].figures.items():
        np.testing.assert_array_equal(stored.rows[-1].figures[name], values)
