"""All recipes by name."""

from fashionsearchnet.systems.agman.recipe import RECIPE as _AGMAN
from fashionsearchnet.systems.amnet.recipe import RECIPE as _AMNET
from fashionsearchnet.systems.asenet.recipe import RECIPE as _ASENET
from fashionsearchnet.systems.fashionsearchnet_v2.recipe import RECIPE as _TABLE_1
from fashionsearchnet.systems.flam.recipe import RECIPES as _FLAM
from fashionsearchnet.systems.recipe import Recipe

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe for recipe in (_AMNET, _TABLE_1, *_FLAM, _ASENET, _AGMAN)
}
