"""The JSON answers, as they stand in the OpenAPI document.

They are dataclasses: the service fills them itself, and pydantic would check each of the hundred
that a search makes.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

Box = Annotated[
    tuple[float, float, float, float],
    Field(description="ymin, xmin, ymax, xmax in 0..1 of the image padded to a square."),
]
Values = Annotated[
    dict[str, str | None],
    Field(description="The value of each attribute; null where it is missing."),
]


Columns = Annotated[
    dict[str, str],
    Field(description="What else the shop shows of it, such as title, price and link, in order."),
]
Product = Annotated[
    str | None, Field(description="Id of the product that it shows; null if not known.")
]


@dataclass
class Attribute:
    name: str
    values: list[str]


@dataclass
class Model:
    system: str
    variant: str | None
    fingerprint: Annotated[
        str, Field(description="Names the weights: compare vectors of the same one only.")
    ]
    takes: Annotated[
        Literal["images", "vectors"],
        Field(description="What queries are: images, or vectors of another model."),
    ]
    image_size: Annotated[
        int,
        Field(
            description="Side of the network's input in pixels; where it takes vectors, the "
            "numbers of one."
        ),
    ]


@dataclass
class Limits:
    max_upload_bytes: int
    max_pixels: int
    max_k: int
    max_depth: Annotated[
        int, Field(description="Results of one search over all pages: offset + k.")
    ]


@dataclass
class Attributes:
    """The attributes, the model and the limits."""

    attributes: list[Attribute]
    num_items: int
    uses_labels: Annotated[
        bool, Field(description="Whether the vectors of the gallery use its labels.")
    ]
    has_products: Annotated[bool, Field(description="Whether several items show one product.")]
    finds_alike: Annotated[
        bool, Field(description="Whether searches may name attributes with `like`.")
    ]
    model: Model
    limits: Limits


@dataclass
class Item:
    id: str
    image: Annotated[
        str,
        Field(
            description="Path of its image, or of its vector as float32 numbers; 404 if none is "
            "stored."
        ),
    ]
    attributes: Values
    predicted: Annotated[
        Values, Field(description="What the model reads off its image; null if unknown.")
    ]
    columns: Columns
    product: Product


@dataclass
class Items:
    """One page of the gallery."""

    items: list[Item]
    total: Annotated[int, Field(description="Items that the filters let through.")]
    offset: int
    limit: int


@dataclass
class ValueCount:
    value: str
    items: int


@dataclass
class AttributeCounts:
    name: str
    values: list[ValueCount]
    unlabelled: Annotated[int, Field(description="Items without a label of the attribute.")]


@dataclass
class Counts:
    """How many items have each label."""

    attributes: Annotated[
        list[AttributeCounts],
        Field(
            description="Items that pass the filters of all other attributes: what a choice of "
            "this value would show."
        ),
    ]


@dataclass
class ValueProbability:
    value: str
    probability: float


@dataclass
class Reading:
    """The model's reading of one attribute."""

    name: str
    value: Annotated[str, Field(description="The likeliest value.")]
    probability: float
    values: Annotated[list[ValueProbability], Field(description="All values, likeliest first.")]


@dataclass
class LocatedReading(Reading):
    box: Annotated[Box | None, Field(description="Where the model looks; null without attention.")]


@dataclass
class LabelledReading(Reading):
    label: Annotated[str | None, Field(description="The gallery's own value; null for an upload.")]
    corrected: Annotated[str | None, Field(description="What `correct` says it is; null without.")]


@dataclass
class Prediction:
    """The model's reading of an image."""

    attributes: list[LocatedReading]


@dataclass
class Explained:
    name: str
    value: str
    probability: float
    box: Box | None
    overlay: Annotated[
        str | None,
        Field(
            description="data: URL of a square transparent PNG, to lay over the image shown in a "
            "square with object-fit: contain; null if the model has no attention."
        ),
    ]


@dataclass
class Explanation:
    """Where the model looks for each attribute."""

    attributes: list[Explained]


@dataclass
class SearchQuery:
    item: str | None
    attributes: list[LabelledReading]


@dataclass
class Result:
    id: str
    distance: Annotated[
        float,
        Field(
            description="Euclidean; smaller is nearer. With `like`, 1 less the probability of the "
            "same value, as weighted mean over the attributes."
        ),
    ]
    image: str
    attributes: Values
    predicted: Annotated[
        Values, Field(description="What the model reads off its image; null if unknown.")
    ]
    columns: Columns
    product: Product
    matches: Annotated[
        bool, Field(description="Whether it has every labelled value of the target.")
    ]
    differing: Annotated[
        list[str], Field(description="The attributes that differ from the target.")
    ]
    by_prediction: Annotated[
        bool,
        Field(description="Whether nobody labelled it, so that `matches` goes by `predicted`."),
    ]


@dataclass
class Milliseconds:
    total: Annotated[float, Field(description="Without the upload.")]
    model: Annotated[float, Field(description="Waiting for a forward pass, and the pass.")]
    index: float


@dataclass
class SearchAnswer:
    """The items nearest to the edited query: nearest first, but for `rerank`."""

    query: SearchQuery
    edits: dict[str, str]
    like: Annotated[
        dict[str, float], Field(description="How much each attribute counts that is alike.")
    ]
    target: Values
    results: list[Result]
    total: Annotated[int, Field(description="Items that the filters and `must` let through.")]
    k: int
    offset: int
    rerank: Annotated[
        int, Field(description="How many of the nearest stand in the order of probability.")
    ]
    judged_by: Annotated[str, Field(description="How `matches` is judged, in words.")]
    took_ms: Milliseconds


@dataclass
class Status:
    status: str


@dataclass
class Readiness(Status):
    index_state: Annotated[str, Field(description="Name of the index state that is served.")]
    index_items: int
    index_problem: Annotated[str, Field(description="Why a newer state is not served, or ''.")]
