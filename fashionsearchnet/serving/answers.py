"""The JSON answers, as they stand in the OpenAPI document."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

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


class Attribute(BaseModel):
    name: str
    values: list[str]


class Model(BaseModel):
    system: str
    variant: str | None
    fingerprint: str = Field(description="Names the weights: compare vectors of the same one only.")
    takes: Literal["images", "vectors"] = Field(
        description="What queries are: images, or vectors of another model."
    )
    image_size: int = Field(
        description="Side of the network's input in pixels; where it takes vectors, the numbers of "
        "one."
    )


class Limits(BaseModel):
    max_upload_bytes: int
    max_pixels: int
    max_k: int
    max_depth: int = Field(description="Results of one search over all pages: offset + k.")


class Attributes(BaseModel):
    """The attributes, the model and the limits."""

    attributes: list[Attribute]
    num_items: int
    uses_labels: bool = Field(description="Whether the vectors of the gallery use its labels.")
    has_products: bool = Field(description="Whether several items show one product.")
    finds_alike: bool = Field(description="Whether searches may name attributes with `like`.")
    model: Model
    limits: Limits


class Item(BaseModel):
    id: str
    image: str = Field(
        description="Path of its image, or of its vector as float32 numbers; 404 if none is stored."
    )
    attributes: Values
    predicted: Values = Field(description="What the model reads off its image; null if unknown.")
    columns: Columns
    product: Product


class Items(BaseModel):
    """One page of the gallery."""

    items: list[Item]
    total: int = Field(description="Items that the filters let through.")
    offset: int
    limit: int


class ValueCount(BaseModel):
    value: str
    items: int


class AttributeCounts(BaseModel):
    name: str
    values: list[ValueCount]
    unlabelled: int = Field(description="Items without a label of the attribute.")


class Counts(BaseModel):
    """How many items have each label."""

    attributes: list[AttributeCounts] = Field(
        description="Items that pass the filters of all other attributes: what a choice of this "
        "value would show."
    )


class ValueProbability(BaseModel):
    value: str
    probability: float


class Reading(BaseModel):
    """The model's reading of one attribute."""

    name: str
    value: str = Field(description="The likeliest value.")
    probability: float
    values: list[ValueProbability] = Field(description="All values, likeliest first.")


class LocatedReading(Reading):
    box: Box | None = Field(description="Where the model looks; null without attention.")


class LabelledReading(Reading):
    label: str | None = Field(description="The gallery's own value; null for an upload.")
    corrected: str | None = Field(description="What `correct` says it is; null without.")


class Prediction(BaseModel):
    """The model's reading of an image."""

    attributes: list[LocatedReading]


class Explained(BaseModel):
    name: str
    value: str
    probability: float
    box: Box | None
    overlay: str | None = Field(
        description="data: URL of a square transparent PNG, to lay over the image shown in a "
        "square with object-fit: contain; null if the model has no attention."
    )


class Explanation(BaseModel):
    """Where the model looks for each attribute."""

    attributes: list[Explained]


class SearchQuery(BaseModel):
    item: str | None
    attributes: list[LabelledReading]


class Result(BaseModel):
    id: str
    distance: float = Field(
        description="Euclidean; smaller is nearer. With `like`, 1 less the probability of the same "
        "value, as weighted mean over the attributes."
    )
    image: str
    attributes: Values
    predicted: Values = Field(description="What the model reads off its image; null if unknown.")
    columns: Columns
    product: Product
    matches: bool = Field(description="Whether it has every labelled value of the target.")
    differing: list[str] = Field(description="The attributes that differ from the target.")
    by_prediction: bool = Field(
        description="Whether nobody labelled it, so that `matches` goes by `predicted`."
    )


class Milliseconds(BaseModel):
    total: float = Field(description="Without the upload.")
    model: float = Field(description="Waiting for a forward pass, and the pass.")
    index: float


class SearchAnswer(BaseModel):
    """The items nearest to the edited query, nearest first."""

    query: SearchQuery
    edits: dict[str, str]
    like: dict[str, float] = Field(description="How much each attribute counts that is alike.")
    target: Values
    results: list[Result]
    total: int = Field(description="Items that the filters and `must` let through.")
    k: int
    offset: int
    judged_by: str = Field(description="How `matches` is judged, in words.")
    took_ms: Milliseconds


class Status(BaseModel):
    status: str


class Readiness(Status):
    index_state: str = Field(description="Name of the index state that is served.")
    index_items: int
    index_problem: str = Field(description="Why a newer state is not served, or ''.")
