"""Why a crop was chosen: the agent's view of it, as a value for the store and as a text for the expert. No Qt."""

from math import exp

import costal
from costal.labels.project import Project
from costal.labels.records import CropLabel, QueryReason
from costal.scoring.queries import PickedCrops
from costal.scoring.scores import FrameScores

MOST_CLASSES = 4


def reason_of(
    frame_scores: FrameScores | None, picked: PickedCrops | None, project: Project, index: int
) -> QueryReason:
    """Return the agent's current view of a crop; empty without scores."""
    if frame_scores is None or frame_scores.scores is None:
        return QueryReason()
    scores, choices = frame_scores.scores, project.choices
    return QueryReason(
        tuple(each.id for each in project.offered),
        tuple(round(float(prob), 6) for prob in scores.probs_N_K[index]),
        float(scores.information_N[index]),
        float(scores.cost_N[index]),
        float(scores.cost_spread),
        float(picked.value_N[index]) if picked is not None and picked.value_N is not None else None,
        choices.alpha,
        choices.beta,
        choices.acquisition,
        choices.passes,
        choices.seed,
        frame_scores.model_hash,
        f"napari-costal {costal.__version__}",
    )


def reason_text(why: QueryReason, project: Project, rank: int | None, control: bool) -> str:
    """Return a few lines that tell the expert why a crop was chosen."""
    origin = "a control, drawn at random" if control else f"rank {rank} of the query" if rank else "you chose it"
    if not why.probs_K:
        return f"Why this crop: {origin}. No model had scored it."
    names = {each.id: each.name for each in project.classes}
    likeliest = sorted(zip(why.probs_K, why.class_ids, strict=True), reverse=True)[:MOST_CLASSES]
    classes = ", ".join(f"{names.get(class_id, '?')} {prob:.0%}" for prob, class_id in likeliest)
    cost = f"{why.cost:.2g} s (within a factor of about {exp(why.cost_spread):.2g})" if why.cost_spread else "uniform"
    value = f"{why.value:.3g}" if why.value is not None else "none"
    return (
        f"Prediction: {classes}.\nWhy this crop: {origin}; v = {value} from I = {why.information:.3g} "
        f"({why.acquisition}, T = {why.passes}) and C = {cost} with α = {why.alpha:g}, β = {why.beta:g}; "
        f"model {why.model_hash[:8]}, seed {why.seed}."
    )


def crop_title(rank: int | None, query_size: int, label: CropLabel | None, project: Project) -> str:
    """Return the line above a crop: its place in the query, and its current label."""
    title = f"Crop {rank} of {query_size}" if rank is not None else "The crop you chose"
    if label is None:
        return title
    label_class = project.class_of(label.class_id) if label.class_id is not None else None
    before = (
        label_class.name if label_class is not None else {"skip": "skipped", "exclude": "excluded"}.get(label.kind, "?")
    )
    return f"{title} (now: {before})"
