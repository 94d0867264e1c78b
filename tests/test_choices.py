"""The names that flags offer are those that the modules behind them know."""

import pytest

from fashionsearchnet import choices
from fashionsearchnet.networks.applications import APPLICATIONS
from fashionsearchnet.networks.backbones import Trunk
from fashionsearchnet.networks.efficientnet_lite import EFFICIENTNET_LITES
from fashionsearchnet.training import OptimizerSettings


@pytest.mark.parametrize("name", choices.BACKBONES)
def test_each_backbone_has_an_architecture(name):
    assert Trunk(backbone=name).architecture.name == name


def test_no_backbone_is_left_out():
    assert {*APPLICATIONS, *EFFICIENTNET_LITES} <= set(choices.BACKBONES)


@pytest.mark.parametrize("optimizer", choices.OPTIMIZERS)
@pytest.mark.parametrize("schedule", choices.SCHEDULES)
def test_each_optimizer_goes_with_each_schedule(optimizer, schedule):
    settings = OptimizerSettings(optimizer=optimizer, schedule=schedule, step_every=2)
    assert settings.rate(num_steps=10) is not None
