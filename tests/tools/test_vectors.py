"""Vectors that another model computed, from their files to a service that edits them."""

import json
from unittest import mock

import numpy as np
import pytest
import small_vectors
import tensorflow as tf
from absl import flags
from absl.testing import flagsaver
from evaluation_fakes import script
from starlette.testclient import TestClient

from fashionsearchnet.data import pipeline
from fashionsearchnet.export import saved_model
from fashionsearchnet.index.gallery_index import GalleryIndex
from fashionsearchnet.serving.app import create_app
from fashionsearchnet.serving.exported import ExportedModel
from fashionsearchnet.systems import registry

NUMBER, LABELLED = 240, 200
SHORT = ("--num_epochs=8", "--batch_size=32", "--optimizer=adam", "--learning_rate=0.005")


def call(name: str, *arguments: str) -> None:
    """Runs a script of tools/."""
    with script(name) as tool, flagsaver.flagsaver():
        flags.FLAGS([tool.__name__, *arguments])
        tool.main()


class Shop:
    """The folders of one shop, and how its vectors are prepared."""

    def __init__(self, folder):
        small_vectors.write(folder, NUMBER, LABELLED)
        self.folder = folder
        self.export, self.index = folder / "export", folder / "index"
        self.flam = folder / "flam"
        self.data = (f"--data_dir={folder / 'data'}", "--dataset=vectors/shop")

    def prepare(self, *others: str) -> None:
        call(
            "prepare_data",
            *self.data,
            f"--features={self.folder / 'vectors.npy'}",
            f"--csv={self.folder / 'labels.csv'}",
            "--attributes=colour,sleeve",
            *("--min_count=5", "--num_queries=20", "--num_gallery=40", "--num_validation=20"),
            *others,
        )

    def train(self) -> None:
        embedders = self.folder / "embedders"
        readers = (*self.data, *SHORT, "--reader_dim=16", "--generator_dim=32")
        given = "--pooling=levels"  # the default, as each flags.txt gives it
        call("flam/train_embedders", *readers, given, f"--workdir={embedders}")
        call(
            "flam/train_manipulator",
            *self.data,
            *SHORT,
            *("--num_epochs=80", "--adversarial_weight=0.1", "--matching_weight=3"),
            "--train_split=train+unlabelled",
            f"--workdir={self.flam}",
            f"--init_from={embedders}",
        )

    def publish(self) -> None:
        with mock.patch.object(saved_model, "check_export", return_value={}):
            saved_model.export_system(registry.load_complete_system(self.flam), self.export)
        call(
            "build_index",
            *self.data,
            "--split=gallery+train+unlabelled",
            f"--export={self.export}",
            f"--index={self.index}",
        )


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Trained, exported and indexed vectors."""
    found = Shop(tmp_path_factory.mktemp("shop"))
    found.prepare()
    found.train()
    found.publish()
    return found


def test_an_export_edits_vectors_and_reads_them(shop):
    dataset = pipeline.open_dataset(shop.folder / "data", "vectors/shop")
    assert dataset.vector_input is not None
    (vectors,) = dataset.images("query", dataset.vector_input).as_numpy_iterator()
    labels = dataset.labels("query")
    model = ExportedModel(shop.export)
    signatures = tf.saved_model.load(str(model.directory)).signatures
    read = signatures["read_vectors"](vectors=tf.constant(vectors))
    assert (read["values"].numpy() == labels).mean() > 0.8
    wanted = np.full_like(labels, -1)
    wanted[:, 0] = (labels[:, 0] + 1) % 3
    edited = signatures["edit_vectors"](vectors=vectors, manipulation=wanted)["embedding"].numpy()
    by_bytes, _ = model.encode_query(
        list(dataset.encoded_images("query").as_numpy_iterator()), wanted
    )
    np.testing.assert_allclose(edited, by_bytes, rtol=1e-4, atol=1e-5)
    again = signatures["read_vectors"](vectors=tf.constant(edited))["values"].numpy()
    assert (again[:, 0] == wanted[:, 0]).mean() > 0.7
    kept = signatures["edit_vectors"](vectors=vectors, manipulation=np.full_like(wanted, -1))
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(kept["embedding"], vectors / length, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(edited, axis=1), 1, rtol=1e-4)


def test_the_service_searches_by_id_and_by_posted_vector(shop, tmp_path):
    index = GalleryIndex.open(shop.index)
    name = index.ids[3]
    vector = np.frombuffer(index.image(name) or b"", np.float32)
    with TestClient(create_app(ExportedModel(shop.export), index)) as client:
        query = {"set": "colour=blue", "k": "5"}
        by_id = client.get("/v1/search", params={"item": name, **query}).json()
        assert len(by_id["results"]) == 5
        posted = {"image": json.dumps(vector.tolist())}
        by_vector = client.post("/v1/search", files=posted, data=query).json()
        ids = [result["id"] for result in by_vector["results"] if result["id"] != name]
        assert ids[:4] == [result["id"] for result in by_id["results"]][:4]
        reading = client.post("/v1/predict", files=posted).json()["attributes"]
        assert [one["name"] for one in reading] == ["colour", "sleeve"]
        for wrong, message in {
            "[1, 2]": "must be one vector of 12 numbers",
            json.dumps([float("nan")] * 12): "must hold finite numbers",
            "hello": "must be a .npy file or a JSON list of 12 numbers",
        }.items():
            answer = client.post("/v1/search", files={"image": wrong}, data=query)
            assert answer.status_code == 422 and message in answer.text


def test_search_tool(shop, tmp_path, capsys):
    np.save(tmp_path / "query.npy", small_vectors.vectors(1)[0][0])
    shared = (*shop.data, f"--workdir={shop.flam}", "--set=colour=green", "--k=4")
    call("search", *shared, f"--vector={tmp_path / 'query.npy'}")
    assert "-> green" in capsys.readouterr().out
    query = pipeline.open_dataset(shop.folder / "data", "vectors/shop").image_ids("query")[0]
    call("search", *shared, f"--query_id={query}")
    assert f"query {query}" in capsys.readouterr().out
    np.save(tmp_path / "long.npy", np.ones(13))
    for flag, message in {
        f"--vector={tmp_path / 'long.npy'}": "must be one vector of 12 numbers",
        "--image=shirt.jpg": "holds vectors; give the query by --vector",
        f"--query_id={query},--output=x.png": "--output draws images",
    }.items():
        with pytest.raises(ValueError, match=message):
            call("search", *shared, *flag.split(","))


def test_an_index_takes_more_vectors_of_the_same_model_only(shop, tmp_path, capsys):
    found = small_vectors.vectors(5, seed=3)[0]
    np.save(tmp_path / "new.npy", found)
    (tmp_path / "new.ids.txt").write_text("\n".join(f"new{i}" for i in range(5)))
    (tmp_path / "new.csv").write_text(
        "id,colour,sleeve\nnew1,red,long\nnobody,blue,\nnew2,mauve,\n"
    )
    shared = (
        f"--export={shop.export}",
        f"--index={shop.index}",
        f"--features={tmp_path / 'new.npy'}",
    )
    features = ExportedModel(shop.export).description.image_input.to_dict()["features"]
    with pytest.raises(ValueError, match=f"two models cannot be.*--features_model={features}"):
        call("build_index", *shared)
    call("build_index", *shared, f"--features_model={features}", f"--csv={tmp_path / 'new.csv'}")
    printed = capsys.readouterr()
    assert "added 5" in printed.out and "Left out 1" in printed.out
    assert "left out id nobody of" in printed.err and "mauve 1" in printed.err
    index = GalleryIndex.open(shop.index)
    assert index.get("new1").values.tolist() == [2, 0]  # red, long


def test_a_model_refuses_other_vectors(shop, tmp_path):
    other = Shop(tmp_path)
    np.save(tmp_path / "vectors.npy", small_vectors.vectors(NUMBER, seed=5)[0])
    other.prepare()
    with pytest.raises(ValueError, match=r"learned on vectors of features .*--features_model="):
        call("search", *other.data, f"--workdir={shop.flam}", "--query_id=?", "--set=colour=red")
    with pytest.raises(ValueError, match=r"--pooling=spoc is for images"):
        call(
            "flam/train_embedders",
            *other.data,
            f"--workdir={tmp_path / 'run'}",
            "--pooling=spoc",
        )
    with pytest.raises(ValueError, match=r"--backbone=mobilenet_v2 cannot be used: .*vectors"):
        call(
            "flam/train_embedders",
            *other.data,
            f"--workdir={tmp_path / 'run2'}",
            "--backbone=mobilenet_v2",
        )
