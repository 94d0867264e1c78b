"""Tables 2 to 5 of [Shin19]: retrieval of items, edits, both with one feature, and trunks."""

import dataclasses

from fashionsearchnet.systems.flam.variants import VARIANTS
from fashionsearchnet.systems.recipe import Order, Recipe, Row, RowOf, StageRun

_SYSTEM = "flam"
_COLORS = dict(zip(VARIANTS, ("C0", "C1", "C2", "C3", "C4", "C5", "C6", "C7"), strict=False))
INSTANCES = StageRun("instances", f"{_SYSTEM}/train_instances", (f"{_SYSTEM}/instances",))
_EMBEDDERS = (f"{_SYSTEM}/emb_concat", f"{_SYSTEM}/embedders")
# The trunks of Table 5 as the paper prints them, and whether ImageNet weights come by name.
_PUBLISHED_TRUNKS = {
    "resnet50": ("ResNet50", True),
    "se_resnet50": ("SE-ResNet50", False),
    "se_resnext50_32x4d": ("SE-ResNeXt50 (32x4d)", False),
    "inception_resnet_v2": ("InceptionResNetV2", True),
    "densenet121": ("DenseNet-121", True),
}
# Small trunks, for a machine without a GPU.
_TRUNKS = _PUBLISHED_TRUNKS | {
    f"efficientnet_lite{number}": (f"EfficientNet-Lite{number}", True) for number in range(3)
}


def _reader(variant: str, start: StageRun | None) -> StageRun:
    """Returns the stage that reads attributes off the feature; all variants of FLAM share one.

    Args:
      variant: a key of `variants.VARIANTS`.
      start: the run that learned the feature; None for a feature as it comes.
    """
    if VARIANTS[variant].reader == "classifiers":
        return StageRun(variant, f"{_SYSTEM}/train_classifiers", (f"{_SYSTEM}/classifiers",), start)
    if VARIANTS[variant].manipulates:
        return StageRun("embedders", f"{_SYSTEM}/train_embedders", _EMBEDDERS[1:], start)
    flags = (f"--variant={variant}",)
    return StageRun(variant, f"{_SYSTEM}/train_embedders", _EMBEDDERS, start, flags)


def _last_stage(variant: str, start: StageRun | None) -> StageRun:
    """Returns the last stage of a variant; see `_reader`."""
    reader = _reader(variant, start)
    if not VARIANTS[variant].manipulates:
        return reader
    script, flags = f"{_SYSTEM}/train_manipulator", (f"--variant={variant}",)
    flagfiles = (f"{_SYSTEM}/{variant}", f"{_SYSTEM}/manipulator")
    return StageRun(f"flam_{variant}", script, flagfiles, reader, flags)


def _rows(start: StageRun | None, published: tuple[str, ...]) -> tuple[Row, ...]:
    """Returns the rows of Table 3 on one feature, and ours.

    Args:
      start: see `_reader`.
      published: keys of the rows that the paper's table has.
    """

    def row(variant: str, compared_with: str = "", adds: str = "") -> Row:
        return Row(
            variant,
            VARIANTS[variant].title,
            _COLORS[variant],
            _SYSTEM,
            _last_stage(variant, start),
            compared_with,
            adds,
            is_published=variant in published,
            is_optional=VARIANTS[variant].ranked,
        )

    return (
        row("cls_concat", "m_os_adv", "classifiers' features in place of an edited feature"),
        row("emb_concat", "m_os_adv", "joined embeddings in place of an edited feature"),
        row("s_adv"),
        row("m", "s_adv", "matching of what an edit keeps, in place of the adversarial loss"),
        row("m_adv", "m", "adversarial loss"),
        row("m_os_adv", "m_adv", "online sampling"),
        row("ranked", "m_os_adv", "a ranking in place of matching and the adversarial loss"),
    )


def _trunk_row(trunk: str, color: str) -> Row:
    """Returns the row of Table 5 that stands on a trunk.

    Trunks without ImageNet weights need flagfiles of their own, which name a file of weights. Ours
    are in a table whose folder has a flagfile of the manipulator for them.
    """
    title, has_weights = _TRUNKS[trunk]
    is_published = trunk in _PUBLISHED_TRUNKS
    is_usual = is_published and has_weights
    shared = (f"{_SYSTEM}/instances",) if has_weights else ()
    instances = StageRun(
        f"instances_{trunk}",
        f"{_SYSTEM}/train_instances",
        (f"{_SYSTEM}/instances_{trunk}", *shared),
        flags=(f"--backbone={trunk}",),
    )
    reader = dataclasses.replace(_reader("m_os_adv", instances), folder=f"embedders_{trunk}")
    last = dataclasses.replace(
        _last_stage("m_os_adv", instances),
        folder=f"flam_{trunk}",
        flagfiles=(f"{_SYSTEM}/manipulator" if is_usual else f"{_SYSTEM}/manipulator_{trunk}",),
        start=reader,
    )
    return Row(
        trunk,
        f"FLAM on {title}",
        color,
        _SYSTEM,
        last,
        is_published=is_published,
        is_optional=not is_usual,
    )


_ORDER = Order(
    ("s_adv", "m", "m_adv", "m_os_adv", "cls_concat"),
    text="FLAM(S/-Adv) < FLAM(M/-) < FLAM(M/-Adv) < FLAM(M/OS/Adv) < Cls-Concat",
)

TABLE_2 = Recipe(
    name="flam_table_2",
    paper="flam_instances",
    title="Table 2",
    task="instance",
    metric="recall",
    k=20,
    mean="queries",
    mean_note="the mean over queries",
    rows=(Row("feature", "FLAM, its feature", "C0", _SYSTEM, _last_stage("m_os_adv", INSTANCES)),),
    orientation="deepfashion_inshop",
)
TABLE_3 = Recipe(
    name="flam",
    paper="flam",
    title="Table 3",
    task="manipulation",
    metric="top_k",
    k=50,
    mean="queries",
    mean_note="mean over all manipulations, the paper's All",
    rows=(
        *_rows(None, (*_ORDER.keys, "emb_concat")),
        RowOf("fashionsearchnet_v2", "full_pooled"),
        RowOf("fashionsearchnet_v2", "ours_pooled"),
    ),
    order=_ORDER,
    baseline_row="cls_concat",
    orientation="darn",
    sheet_rows=("m_os_adv",),
    sheets_title="Figure 2",
)
_OF_TABLE_4 = ("cls_concat", "emb_concat", "m_os_adv")
TABLE_4 = dataclasses.replace(
    TABLE_3,
    name="flam_table_4",
    paper="flam_table_4",
    title="Table 4, its edits",
    k=20,
    mean_note="mean over all manipulations",
    rows=_rows(INSTANCES, _OF_TABLE_4),
    sheet_rows=(),
    sheets_title="",
)
TABLE_4_ITEMS = dataclasses.replace(
    TABLE_2,
    name="flam_table_4_items",
    paper="flam_table_4_instances",
    title="Table 4, its items",
    rows=_rows(INSTANCES, _OF_TABLE_4),
    orientation="deepfashion_consumer2shop",
)
_TRUNK_ROWS = tuple(_trunk_row(trunk, f"C{i}") for i, trunk in enumerate(_TRUNKS))
TABLE_5 = dataclasses.replace(
    TABLE_4,
    name="flam_table_5",
    paper="flam_table_5",
    title="Table 5, its edits",
    rows=_TRUNK_ROWS,
    order=Order(()),
    baseline_row="",
)
TABLE_5_ITEMS = dataclasses.replace(
    TABLE_4_ITEMS,
    name="flam_table_5_items",
    paper="flam_table_5_instances",
    title="Table 5, its items",
    rows=_TRUNK_ROWS,
)
RECIPES = (TABLE_2, TABLE_3, TABLE_4, TABLE_4_ITEMS, TABLE_5, TABLE_5_ITEMS)
