"""A table of one row."""

from fashionsearchnet.systems.recipe import Recipe, Row, StageRun

CLASSIFICATION = StageRun(
    "classification", "classifier/train_classification", ("classifier/classification",)
)
RECIPE = Recipe(
    name="classifier",
    paper="",
    title="Attributes by a classifier",
    task="attribute",
    metric="average_precision",
    k=None,
    mean="mean",
    mean_note="plain mean over attributes",
    rows=(Row("classifier", "Classifier", "C0", "classifier", CLASSIFICATION),),
)
