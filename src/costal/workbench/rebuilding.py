"""A model that asked, made again from its recipe and the rows of the store; a job for another process."""

from dataclasses import replace

from costal.agent.cards import card_of
from costal.errors import ProjectError
from costal.frames.normalise import IntensityRange
from costal.labels.models import backbone_of, settings_of
from costal.labels.project import LabelClass, Project
from costal.labels.recipes import Recipe, digest_of
from costal.labels.store import Store
from costal.types import Agent, Job
from costal.workbench.retraining import Material, fit


def rebuild(project: Project, digest: str) -> Job[Agent]:
    """Return the model that a presentation names by its digest, trained again as it was.

    It is the same to the bit on the same machine and versions; elsewhere its predictions differ by rounding.

    Raises
    ------
    ProjectError
        When the project has no such digest, or labels of the model are gone (by a repair, say).
    CostalError
        When its backbone is another one here, or training diverges.
    """
    from costal.agent.devices import on_threads

    with Store(project.store_path, read_only=True) as store:
        recipe = Recipe.from_json(store.recipe(digest))
        presented = store.presented(recipe.presentations, recipe.label_ids)
    if {each.label_id for each in presented} - {None} != set(recipe.label_ids):
        raise ProjectError(
            f"Model {digest[:12]} cannot be trained again: the project no longer has all labels that it learned."
        )
    limits = IntensityRange(recipe.low_C, recipe.high_C) if recipe.low_C else None
    then = _as_it_was(project, recipe)
    material = Material(then, presented, recipe.presentations, recipe.crop_shape, limits, _fresh(recipe))
    with on_threads(recipe.threads):
        return (yield from fit(material, recipe.seed, recipe.device))


def _fresh(recipe: Recipe) -> Agent:
    settings, backbone = settings_of(recipe.settings), backbone_of(recipe.backbone)
    if backbone is not None and card_of(backbone.name) != backbone:
        raise ProjectError(
            f"The weights of backbone '{backbone.name}' on this machine are not those of model "
            f"{digest_of(recipe.to_json())[:12]}. Add the same ones ('costal backbone add')."
        )
    return Agent(settings, recipe.crop_shape, backbone=backbone, is_rgb=recipe.is_rgb)


def _as_it_was(project: Project, recipe: Recipe) -> Project:
    """Return the project with the classes, idle limit and colours that the model was trained with."""
    class_ids = recipe.settings["class_ids"]
    own = [_class(each) for each in class_ids]
    others = [pair for pair in recipe.class_index.items() if pair[0] not in class_ids]
    merged = [replace(_class(each), merged_into=class_ids[index]) for each, index in others]
    return replace(
        project,
        classes=(*own, *merged),
        idle_limit_s=recipe.idle_limit_s,
        intake=replace(project.intake, rgb=recipe.is_rgb),
    )


def _class(class_id: int) -> LabelClass:
    return LabelClass(class_id, f"class {class_id}", "", "#000000")
