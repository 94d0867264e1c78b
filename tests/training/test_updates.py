"""Stages with several updates, which a step applies in turn."""

import keras
import pytest
import tensorflow as tf
from regression import RegressionStage, metrics

from fashionsearchnet import training
from fashionsearchnet.training import distribution


class TwoUpdatesStage(RegressionStage):
    """Moves a by a^2 / 2, then b by a b; both start at 1."""

    names = ("a", "b")

    def __init__(self):
        super().__init__()
        self.model = keras.Model()
        self.a, self.b = (keras.Variable(1.0, name=name) for name in "ab")
        self.model.a, self.model.b = self.a, self.b

    def updates(self):
        own = training.OptimizerSettings(learning_rate=1.0)
        return [
            training.Update(
                lambda batch, seed: (tf.square(self.a) / 2, {"noise": _noise(seed)}),
                [self.a],
                name=self.names[0],
            ),
            training.Update(
                lambda batch, seed: (self.a * self.b, {"noise": _noise(seed)}),
                [self.b],
                name=self.names[1],
                optimizer=own,
            ),
        ]


def _noise(seed):
    return tf.random.stateless_normal([], seed)


def train_two(stage, workdir, **settings):
    training.train(
        stage,
        workdir=workdir,
        optimizer=training.OptimizerSettings(learning_rate=0.1, **settings),
        length=training.RunLength(1, seed=7),
        strategy=distribution.get_strategy("one_device"),
    )


def test_a_later_update_sees_what_the_earlier_one_moved(tmp_path):
    stage = TwoUpdatesStage()
    train_two(stage, tmp_path)
    assert float(stage.a) == pytest.approx(1 - 0.1 * 1)
    assert float(stage.b) == pytest.approx(1 - 1.0 * 0.9)
    (line,) = metrics(tmp_path)
    assert line["a/loss"] == pytest.approx(0.5) and line["b/loss"] == pytest.approx(0.9)
    assert line["a/noise"] == pytest.approx(float(_noise([7, 1])))
    assert line["b/noise"] != line["a/noise"]


@pytest.mark.parametrize("names", [("", "b"), ("a", "a")])
def test_updates_need_names_that_differ(names, tmp_path):
    stage = TwoUpdatesStage()
    stage.names = names
    with pytest.raises(ValueError, match="several with names that differ; got the names"):
        train_two(stage, tmp_path)


def test_a_variable_that_the_loss_does_not_reach_is_refused_by_name(tmp_path, monkeypatch):
    stage = TwoUpdatesStage()
    bad = training.Update(lambda batch, seed: (tf.square(stage.a), {}), [stage.a, stage.b])
    monkeypatch.setattr(stage, "updates", lambda: [bad])
    with pytest.raises(ValueError, match="does not depend on b; leave it out"):
        train_two(stage, tmp_path)
