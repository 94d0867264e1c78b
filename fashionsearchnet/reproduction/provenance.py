"""Which finished steps were made from weights that the step they need no longer holds.

A run says in `starts_from` of its model.json, and the report of an evaluation in `weights` of its
`system`, the SHA-256 of the weights that it was made from. What does not say it counts as unknown,
and is accepted.
"""

from collections.abc import Iterable, Sequence

from fashionsearchnet import files, systems
from fashionsearchnet.reproduction.plan import Step

_CURE = "Move its folder away and run tools/reproduce.py again."


def stale_steps(steps: Iterable[Step]) -> list[Step]:
    """Returns the steps whose output is of other weights than there are, and what depends on them.

    A run that is half trained is among them if what it started from is no longer there: it would
    go on from something else.

    Args:
      steps: of a plan, each after those that it needs.
    """
    passed: dict[str, Step] = {}
    stale: dict[str, Step] = {}
    for step in steps:
        needed = [passed[name] for name in step.needs]
        if step.has_begun and any(n.name in stale or _is_of_another(step, n) for n in needed):
            stale[step.name] = step
        passed[step.name] = step
    return list(stale.values())


def dependents(step: Step, steps: Iterable[Step]) -> list[Step]:
    """Returns the steps of what was made, directly or not, from the output of a step."""
    names, found = {step.name}, []
    for other in steps:
        if other.has_begun and names & set(other.needs):
            names.add(other.name)
            found.append(other)
    return found


def places(steps: Sequence[Step]) -> str:
    """Returns what there is to be moved away to have steps made again, in words.

    What lies in the folder of one of the runs goes with it.
    """
    runs = [step.folder for step in steps if step.is_training]
    paths = [*runs]
    for step in steps:
        if not step.is_training and not any(step.folder.is_relative_to(run) for run in runs):
            paths += step.written
    return ", ".join(map(str, paths))


def stale_text(stale: Sequence[Step]) -> str:
    """Returns what is stale, and the cure."""
    return (
        "the weights that these were made from are no longer there, the run that they start from "
        f"was moved away or made anew: {places(stale)}. Nothing is overwritten: move them away to "
        "have them made again, or put the former run back."
    )


def _is_of_another(step: Step, needed: Step) -> bool:
    """Returns whether what a step has made is of other weights than the needed run holds."""
    if not needed.is_training:
        return False
    if not needed.is_finished:
        return step.is_training and not step.is_finished
    try:
        present = systems.weights_digest(needed.folder)
    except FileNotFoundError:
        return False  # model.json alone says that it is finished, not with what
    return any(digest != present for digest in _recorded(step) if digest)


def _recorded(step: Step) -> list[str | None]:
    """Returns the digest of the weights that each output was made from; None if it does not say."""
    contents = [
        files.read_json(path, "what a step has made", _CURE)
        for path in step.written
        if path.suffix == ".json"
    ]
    if step.is_training:
        return [content.get("starts_from") for content in contents]
    return [content.get("system", {}).get("weights") for content in contents]
