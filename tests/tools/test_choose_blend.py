"""tools/choose_blend.py on a fake system: what it prints and stores."""

import functools
import hashlib

import pytest
from absl import flags
from evaluation_fakes import SPACE, BlockSystem, FakeDataset, script

from fashionsearchnet.data import pipeline
from fashionsearchnet.systems import registry
from fashionsearchnet.systems.gallery_labels import ChosenBlend


def test_the_chosen_blend_is_stored_with_the_run(tmp_path, monkeypatch, capsys):
    class Validation(FakeDataset):
        """Has only splits cut from validation."""

        def __init__(self):
            super().__init__()
            whole = {name: self.labels(name) for name in CUTS.values()}
            self._labels = {f"validation[{cut}]": whole[name] for cut, name in CUTS.items()}

    monkeypatch.setattr(registry, "describe_system", lambda _: {"dataset": "fakes/tiny"})
    monkeypatch.setattr(registry, "load_complete_system", lambda _: BlockSystem(noise=0.8))
    monkeypatch.setattr(pipeline, "open_dataset", lambda *_: Validation())
    (tmp_path / "model.weights.h5").write_bytes(b"weights")
    with script("choose_blend") as tool:
        tool.choose_blend = functools.partial(tool.choose_blend, grid=(0.0, 0.5, 1.0))
        flags.FLAGS(["choose_blend.py", f"--workdir={tmp_path}", "--k=3"])
        tool.main()
    weights = hashlib.sha256(b"weights").hexdigest()
    stored = ChosenBlend.load(tmp_path, SPACE, weights)
    assert max(stored.blend) > 0.0 and stored.chosen_on["query_split"] == "validation[:30%]"
    told = capsys.readouterr().out
    assert "Top-3 with known / wrong labels" in told and "images alone" in told
    assert f"written: {tmp_path}" in told


CUTS = {":30%": "query", "30%:": "gallery"}


@pytest.mark.parametrize(
    ("arguments", "k"),
    [
        (["--gallery_split=query"], 4),  # 12 of 60 images
        (["--gallery_split=gallery"], 20),
        (["--gallery_split=gallery", "--k=3"], 3),
        (["--gallery_split=gallery", "--final_split=query"], 20),
    ],
)
def test_as_large_a_share_of_a_smaller_gallery_counts(arguments, k):
    with script("choose_blend") as tool:
        flags.FLAGS(["choose_blend.py", "--workdir=run", *arguments])
        assert tool.k_of_flags(FakeDataset()) == k


def test_nothing_is_chosen_on_the_queries():
    with script("choose_blend") as tool:
        flags.FLAGS(["choose_blend.py", "--workdir=run", "--query_split=query[:10%]"])
        with pytest.raises(ValueError, match="never made on the queries"):
            tool.main()
