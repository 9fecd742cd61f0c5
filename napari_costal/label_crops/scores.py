"""The scores of a frame as sentences and as the values of a heatmap. No Qt."""

from collections.abc import Callable

from costal.agent.value import value
from costal.labels.project import Project
from costal.numerals import counted
from costal.scoring.scores import FrameScores
from costal.types import Floats
from napari_costal.label_crops.view import Shown

STALE = ". Stale: the model learned a label that was undone or replaced; train again."


def model_text(
    frame_scores: FrameScores | None, is_stale: bool, has_model: bool, labels: int, learns_soon: bool = False
) -> str:
    """Return which model scored, or what to do next, and whether it learned a label that was undone or replaced."""
    if frame_scores is None or frame_scores.scores is None:
        if has_model:
            text = "Not scored yet: press Score"
        elif labels:
            remedy = "the models learn when the query ends" if learns_soon else "press Train"
            text = f"{counted(labels, 'label')}, not trained yet: {remedy}"
        else:
            text = "No labels yet: press Label"
    else:
        cost = "uniform cost" if frame_scores.scores.cost_is_uniform else "learned cost"
        live = f"{counted(frame_scores.asker.labels_known or 0, 'label')} learned" if frame_scores.is_live else ""
        text = ", ".join(filter(None, (f"Model {frame_scores.generation}", live, cost, frame_scores.scores.device)))
    return text + (STALE if is_stale else "")


def scored_text(frame_scores: FrameScores) -> str:
    """Return the notes and warnings about a frame that was scored."""
    if frame_scores.which_M is not None and len(frame_scores.which_M) == 0:
        notes = frame_scores.warnings
    elif frame_scores.scores is None:
        notes = (
            frame_scores.reason,
            "The first query has a typical crop from each group of similar crops.",
            *frame_scores.warnings,
        )
    else:
        notes = (*frame_scores.scores.notes, *frame_scores.warnings)
    return " ".join(notes) or "Scored. Move the slider, or label the query."


def filled_text(frame_scores: FrameScores, total: int, goes_on: bool) -> str:
    """Return how many crops of a large frame are scored, and what to do next."""
    done = total if frame_scores.which_M is None else len(frame_scores.which_M)
    after = (
        "Cancel keeps these scores." if goes_on else "Score again to continue, or label a query of the scored crops."
    )
    return f"{done:,} of {counted(total, 'crop')} {'is' if total == 1 else 'are'} scored. {after}"


def heatmap_values(frame_scores: FrameScores, project: Project, shown: Shown) -> Floats:
    """Return a value for each crop of the grid; `frame_scores` has scores."""
    scores, choices = frame_scores.scores, project.choices
    if scores is None:
        raise RuntimeError("The frame has no scores to show.")
    values: dict[Shown, Callable[[], Floats]] = {
        "value v": lambda: value(
            scores.information_N, scores.cost_N, choices.alpha, choices.beta, choices.rule, scores.probs_N_K
        ),
        "information I": lambda: scores.information_N,
        "cost C": lambda: scores.cost_N,
        "predicted class": lambda: scores.predicted_class_N,
    }
    return frame_scores.of_scored(values[shown]())


def asks_otherwise(project: Project, before: Project) -> bool:
    """Return whether the settings need new scores: classes or committee differ."""
    now, then = project.agent_settings(), before.agent_settings()
    decide = (now.class_ids, now.acquisition, now.passes, now.backbone)
    return decide != (then.class_ids, then.acquisition, then.passes, then.backbone)
