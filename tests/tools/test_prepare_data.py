"""tools/prepare_data.py: which flags go with which data set."""

import pytest
from absl import flags
from evaluation_fakes import script


@pytest.mark.parametrize(
    ("dataset", "flag", "message"),
    [
        (
            "garments/tiny",
            "--num_queries=9",
            "--num_queries goes with --dataset=catalogue or vectors or shop",
        ),
        ("deepfashion_inshop", "--num_queries=9", "not with --dataset=deepfashion_inshop; leave"),
        ("deepfashion_consumer2shop", "--num_gallery=9", "not with --dataset=deepfashion_cons"),
        ("zappos50k", "--num_validation=9", "not with --dataset=zappos50k; leave it out"),
        ("garments/tiny", "--dense_splits", "not with --dataset=garments/tiny; leave it out"),
        ("garments/tiny", "--overwrite", "not with --dataset=garments/tiny; leave it out"),
        ("celeba", "--name=faces", "--name goes with --dataset=catalogue or vectors, not"),
        ("darn/small", "--num_images=9", "--num_images goes with --dataset=imaterialist, not"),
        ("catalogue", "--source_dir=here", "--source_dir goes with --dataset=shopping100k or"),
        ("celeba", "--shopping100k_splits=here", "goes with --dataset=shopping100k, not"),
    ],
)
def test_a_flag_of_another_data_set_is_refused(dataset, flag, message):
    with script("prepare_data") as tool:
        flags.FLAGS(["prepare_data.py", f"--dataset={dataset}", flag])
        with pytest.raises(ValueError, match=message):
            tool.main()


def test_every_flag_says_where_it_applies():
    with script("prepare_data") as tool:
        own = {flag.name for flag in flags.FLAGS.get_key_flags_for_module(tool.__name__)}
    listed = {name for _, names in tool._APPLIES_TO for name in names}
    assert own - listed == {"dataset", "data_dir"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset=catalogue"], "needs --name, or read --dataset=catalogue/NAME"),
        (["--dataset=catalogue/a", "--name=b"], "are two names; leave one out"),
        (["--dataset=catalogue/a"], "--dataset=catalogue needs --csv"),
        (["--dataset=catalogue/a", "--update", "--overwrite"], "give one of them"),
    ],
)
def test_what_a_catalogue_needs(arguments, message):
    with script("prepare_data") as tool:
        flags.FLAGS(["prepare_data.py", *arguments])
        with pytest.raises(ValueError, match=message):
            tool.main()
