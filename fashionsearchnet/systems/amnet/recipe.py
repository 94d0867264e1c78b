"""AMNet's row, as Table 1 of [Ak21] has it."""

import dataclasses

from fashionsearchnet.systems.recipe import TABLE_1, Row, StageRun

CLASSIFICATION = StageRun(
    "amnet_classification", "amnet/train_classification", ("amnet/classification",)
)
MANIPULATION = StageRun(
    "amnet",
    "amnet/train_manipulation",
    ("amnet/manipulation",),
    CLASSIFICATION,
    examples="edits",
)

RECIPE = dataclasses.replace(
    TABLE_1,
    name="amnet",
    title="Table 1, AMNet alone",
    rows=(Row("amnet", "AMNet", "C0", "amnet", MANIPULATION, is_published=True),),
    baseline_row="amnet",
    sheet_rows=("amnet",),
)
