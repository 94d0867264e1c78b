"""The content of a picture of `garments`: attribute values, colours, pose, light and clutter.

Combinations are skewed as in a shop: few kinds, colours and cuts make up most of the stock, the
category decides which values go together, and rare combinations are rare. A scene is a function of
(seed, index) alone, so any image can be drawn again by itself, in any order.
"""

import dataclasses
import functools

import numpy as np

from fashionsearchnet.attributes import MISSING, AttributeSpace

SPACE = AttributeSpace.from_dict(
    {
        "category": ["t-shirt", "shirt", "sweater", "jacket", "coat", "dress", "trousers", "skirt"],
        "colour": [
            *("black", "white", "grey", "red", "pink"),
            *("yellow", "green", "blue", "purple", "brown"),
        ],
        "pattern": ["plain", "horizontal-stripes", "vertical-stripes", "checks", "dots", "floral"],
        "neckline": ["round", "v-neck", "boat", "turtle", "collar", "hood"],
        "sleeve": ["sleeveless", "short", "elbow", "long"],
        "fastening": ["none", "buttons", "zip", "laces"],
        "pocket": ["none", "chest", "slit", "patch", "kangaroo"],
    }
)

# The shop's stock: share of each category and, within it, weights of the values. A value that is
# not listed does not occur there; an attribute that is not listed does not apply (missing).
_STOCK = {
    "t-shirt": {
        "share": "20",
        "colour": "white black grey blue red yellow green pink purple brown",
        "pattern": "plain 11, horizontal-stripes 5, dots 2, floral 2, checks 1, vertical-stripes 1",
        "neckline": "round 11, v-neck 6, boat 4, collar 3, hood 2, turtle 1",
        "sleeve": "short 12, long 4, sleeveless 4, elbow 2",
        "fastening": "none 13, buttons 4, zip 1.5, laces 1",
        "pocket": "none 10, chest 5, kangaroo 1, patch .6, slit .4",
    },
    "shirt": {
        "share": "15",
        "colour": "white blue black pink grey green red brown purple yellow",
        "pattern": "plain 7, checks 6, vertical-stripes 5, dots 2, floral 2, horizontal-stripes 1",
        "neckline": "collar 14, round 3, v-neck 3, boat 1.5, turtle .8, hood .7",
        "sleeve": "long 12, short 5, elbow 3, sleeveless 2",
        "fastening": "buttons 14, none 3, laces 2, zip 1.5",
        "pocket": "none 7, chest 8, patch 1, slit .7, kangaroo .4",
    },
    "sweater": {
        "share": "15",
        "colour": "grey blue black red brown green white yellow purple pink",
        "pattern": "plain 11, horizontal-stripes 5, checks 2, dots 1, floral 1, vertical-stripes 1",
        "neckline": "round 8, turtle 6, v-neck 5, hood 5, collar 2, boat 1.5",
        "sleeve": "long 15, elbow 2.5, sleeveless 2, short 1.5",
        "fastening": "none 10, zip 4, buttons 3.5, laces 1.2",
        "pocket": "none 10, kangaroo 5, patch 2, chest 1, slit 1",
    },
    "jacket": {
        "share": "12",
        "colour": "black blue brown green grey red purple yellow white pink",
        "pattern": "plain 13, checks 3, vertical-stripes 1, floral 1, horizontal-stripes 1, dots 1",
        "neckline": "hood 8, collar 8, turtle 5, round 2, v-neck 2, boat .6",
        "sleeve": "long 15, sleeveless 4, elbow 1.5, short 1",
        "fastening": "zip 12, buttons 6, laces 1.5, none 1.2",
        "pocket": "slit 9, patch 5, chest 2.5, none 2.5, kangaroo 1",
    },
    "coat": {
        "share": "8",
        "colour": "brown black grey blue red green purple white pink yellow",
        "pattern": "plain 12, checks 5, vertical-stripes 2, dots 1, floral 1, horizontal-stripes 1",
        "neckline": "collar 11, hood 5, v-neck 3, turtle 2, round 2, boat .6",
        "sleeve": "long 15, elbow 2, sleeveless 1, short .8",
        "fastening": "buttons 11, zip 4, laces 2, none 1.5",
        "pocket": "slit 8, patch 7, none 2.5, chest 1.5, kangaroo .6",
    },
    "dress": {
        "share": "14",
        "colour": "black red blue pink white purple green yellow grey brown",
        "pattern": "plain 7, floral 6, dots 4, vertical-stripes 2, horizontal-stripes 2, checks 2",
        "neckline": "round 7, v-neck 7, boat 5, collar 3, turtle 2, hood .8",
        "sleeve": "sleeveless 10, short 6, elbow 3, long 3",
        "fastening": "none 11, buttons 4, laces 2.5, zip 2",
        "pocket": "none 12, slit 3, patch 2, chest 1, kangaroo .7",
    },
    "trousers": {
        "share": "10",
        "colour": "blue black grey brown green white red purple pink yellow",
        "pattern": "plain 12, checks 3, vertical-stripes 3, floral 1, dots 1, horizontal-stripes 1",
        "fastening": "zip 7, buttons 6, laces 5, none 4",
        "pocket": "slit 9, patch 5, none 4",
    },
    "skirt": {
        "share": "6",
        "colour": "black pink blue red white grey purple yellow green brown",
        "pattern": "plain 6, floral 4, checks 4, dots 3, vertical-stripes 2, horizontal-stripes 2",
        "fastening": "none 8, buttons 5, zip 4, laces 2",
        "pocket": "none 8, patch 4, slit 3",
    },
}

# What goes together: where the first value was drawn, the second one's weight is multiplied.
_AFFINITIES = (
    (("neckline", "hood"), ("fastening", "zip"), 3.0),
    (("neckline", "hood"), ("pocket", "kangaroo"), 4.0),
    (("neckline", "collar"), ("fastening", "buttons"), 3.0),
    (("neckline", "collar"), ("pocket", "chest"), 2.0),
    (("neckline", "boat"), ("fastening", "none"), 2.0),
    (("pattern", "floral"), ("fastening", "zip"), 0.5),
)

COLOURS = {  # RGB, 0 to 255
    "black": (36, 35, 40),
    "white": (240, 239, 235),
    "grey": (128, 130, 134),
    "red": (203, 32, 42),
    "pink": (241, 146, 178),
    "yellow": (243, 203, 48),
    "green": (44, 134, 72),
    "blue": (42, 84, 186),
    "purple": (116, 58, 158),
    "brown": (122, 78, 44),
}


# At 1.25 a query has some 15 single edits whose combination is among 18,000 others, and 4 among
# 1,500; at 1 a small gallery holds next to no targets, far above it rare values die out.
_SKEW = 1.25


@dataclasses.dataclass(frozen=True)
class Layout:
    """How garments lie in their pictures.

    Attributes:
      least_scale: size of the smallest, relative to the largest that fits the picture.
      spread: share of the room that is left over which they are spread, around the middle.
    """

    least_scale: float
    spread: float


# A shop's product shots fill the picture. Photographs of people do not: what an attribute looks
# like must be recognised wherever it is, at any size, which is what localisation is for.
FRAMED = Layout(least_scale=0.7, spread=0.5)
SCATTERED = Layout(least_scale=0.45, spread=1.0)


@dataclasses.dataclass(frozen=True)
class Scene:
    """One picture to draw. Lengths are in garment units (a torso is about 0.9 wide)."""

    values: np.ndarray  # int32 [num_attributes], -1 for missing
    colour: tuple[float, ...]  # RGB, 0 to 255, of the ground
    accent: tuple[float, ...]  # RGB of the pattern
    period: float  # size of the pattern, relative to its usual one
    angle: float  # rotation, degrees
    scale: float  # size relative to the largest that fits the picture
    shift: tuple[float, float]  # position in the room that is left, x and y, 0 to 1
    stretch: tuple[float, float]  # width and length of the garment, relative to the usual cut
    arms: tuple[float, float]  # angles of left and right sleeve from the vertical, degrees
    light: tuple[float, float]  # brightening towards the right and towards the top
    background: tuple[float, ...]  # RGB
    noise_seed: tuple[int, ...]  # for the fine things: folds, texture, clutter, camera noise
    phase: tuple[float, float] = (0.0, 0.0)  # where the pattern begins, x and y
    trim: tuple[float, ...] | None = None  # RGB of bands and plackets; None: a shade of the ground
    contrast: tuple[float, ...] | None = None  # RGB of buttons and cords; None: black or white
    exposure: tuple[float, ...] = (1.0, 1.0, 1.0)  # factors on red, green and blue

    def value(self, attribute: str) -> str:
        """Returns the name of an attribute's value, or '-' where it does not apply."""
        index = SPACE.attribute_index(attribute)
        return SPACE.value_name(index, int(self.values[index]))


def sample_scene(
    seed: int, index: int, layout: Layout = FRAMED, values: np.ndarray | None = None
) -> Scene:
    """Returns scene number `index` of the world `seed`, both at least 0; `values` if given."""
    rng = np.random.default_rng((seed, index))
    values = sample_values(rng) if values is None else values
    colour = jitter(COLOURS[SPACE.values[1][values[1]]], rng)
    sleeve_arms = rng.uniform(16.0, 34.0) + rng.uniform(-4.0, 4.0, 2)
    return Scene(
        values=values,
        colour=colour,
        accent=_accent(colour, rng),
        period=rng.uniform(0.85, 1.25),
        angle=float(np.clip(rng.normal(0.0, 6.0), -12.0, 12.0)),
        scale=rng.uniform(layout.least_scale, 1.0),
        shift=(sample_shift(layout, rng), sample_shift(layout, rng)),
        stretch=(rng.uniform(0.93, 1.08), rng.uniform(0.93, 1.07)),
        arms=(float(sleeve_arms[0]), float(sleeve_arms[1])),
        light=(rng.uniform(-0.14, 0.14), rng.uniform(-0.04, 0.14)),
        background=sample_background(colour, rng),
        noise_seed=(seed, index, 1),
    )


def sample_shift(layout: Layout, rng: np.random.Generator) -> float:
    """Returns a position in the room that is left, 0 to 1."""
    return 0.5 + layout.spread * (rng.uniform() - 0.5)


def sample_values(rng: np.random.Generator) -> np.ndarray:
    """Returns one combination of the stock, int32 `[num_attributes]`, -1 for missing."""
    shares, stock = _stock_weights()
    values = np.full(SPACE.num_attributes, MISSING, np.int32)
    values[0] = _draw(shares, rng)
    for attribute in range(1, SPACE.num_attributes):
        weights = stock[values[0]][attribute]
        if weights is None:
            continue
        for (given, value), factor, place in _affinities_on(attribute):
            if values[given] == value:
                weights = weights.copy()
                weights[place] *= factor
        values[attribute] = _draw(weights, rng)
    return values


@functools.cache
def _stock_weights() -> tuple[np.ndarray, list[list[np.ndarray | None]]]:
    """Returns the categories' shares, and the weights `[category][attribute]`, None: missing."""
    shares = np.array([float(_STOCK[category]["share"]) for category in SPACE.values[0]])
    stock = []
    for category in SPACE.values[0]:
        texts = _STOCK[category]
        stock.append([_weights(name, texts.get(name)) for name in SPACE.names])
    return shares, stock


def _weights(attribute: str, text: str | None) -> np.ndarray | None:
    """Parses 'value weight, value weight'; colours are ranked names, weighted by Zipf's law."""
    if text is None:
        return None
    weights = np.zeros(len(SPACE.values[SPACE.attribute_index(attribute)]))
    if attribute == "colour":
        for rank, value in enumerate(text.split()):
            weights[SPACE.value_index(attribute, value)] = 1.0 / (rank + 1.0)
    else:
        for item in text.split(","):
            value, weight = item.split()
            weights[SPACE.value_index(attribute, value)] = float(weight)
    return weights**_SKEW


@functools.cache
def _affinities_on(attribute: int) -> list[tuple[tuple[int, int], float, int]]:
    """Returns ((given attribute, its value), factor, value) of the affinities on an attribute."""
    found = []
    for (given, given_value), (name, value), factor in _AFFINITIES:
        if SPACE.attribute_index(name) == attribute:
            condition = (SPACE.attribute_index(given), SPACE.value_index(given, given_value))
            found.append((condition, factor, SPACE.value_index(name, value)))
    return found


def _draw(weights: np.ndarray, rng: np.random.Generator) -> int:
    """Returns an index drawn in proportion to `weights`."""
    cumulative = np.cumsum(weights)
    drawn = np.searchsorted(cumulative, rng.uniform() * cumulative[-1], side="right")
    return min(int(drawn), len(weights) - 1)


def jitter(colour: tuple[int, ...], rng: np.random.Generator) -> tuple[float, ...]:
    """Returns another shade of a colour, as dyes and lights differ."""
    grey = sum(colour) / 3.0
    saturation, brightness = rng.uniform(0.84, 1.1), rng.uniform(0.88, 1.06)
    tint = rng.uniform(-6.0, 6.0, 3)
    shade = [
        (grey + (c - grey) * saturation + t) * brightness for c, t in zip(colour, tint, strict=True)
    ]
    return tuple(float(np.clip(c, 16.0, 250.0)) for c in shade)


def _accent(colour: tuple[float, ...], rng: np.random.Generator) -> tuple[float, ...]:
    """Returns a colour that stands out on `colour`: light on dark, dark on light."""
    choice = rng.integers(3)
    if luminance(colour) > 125.0:
        dark = ((30.0, 30.0, 36.0), (34.0, 44.0, 92.0), tuple(0.42 * c for c in colour))
        return dark[choice]
    light = ((244.0, 243.0, 240.0), (236.0, 222.0, 190.0), tuple(0.3 * c + 172.0 for c in colour))
    return light[choice]


def sample_background(colour: tuple[float, ...], rng: np.random.Generator) -> tuple[float, ...]:
    """Returns a muted colour that does not swallow the garment."""
    while True:
        grey = rng.uniform(150.0, 238.0) if rng.uniform() < 0.8 else rng.uniform(60.0, 150.0)
        background = tuple(float(c) for c in np.clip(grey + rng.uniform(-16.0, 16.0, 3), 0, 245))
        if max(abs(a - b) for a, b in zip(colour, background, strict=True)) > 28.0:
            return background


def luminance(colour: tuple[float, ...]) -> float:
    """Returns the perceived brightness of an RGB colour, 0 to 255."""
    return 0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2]
