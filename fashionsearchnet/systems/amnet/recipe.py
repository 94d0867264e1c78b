"""AMNet's row, as Table 1 of [Ak21] has it."""

from fashionsearchnet.systems.recipe import Recipe, Row, StageRun

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

RECIPE = Recipe(
    name="amnet",
    paper="fashionsearchnet_v2",
    title="Table 1, AMNet alone",
    task="manipulation",
    metric="top_k",
    k=20,
    mean="mean",
    mean_note="plain mean over attributes, the paper's Avg.",
    rows=(Row("amnet", "AMNet", "C0", "amnet", MANIPULATION, is_published=True),),
    baseline_row="amnet",
    orientation="shopping100k",
    sheet_rows=("amnet",),
    curve_title="Figure 5",
    sheets_title="Figure 6",
)
