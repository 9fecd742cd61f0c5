"""A paragraph for the methods of a paper, from what a project holds; what is missing is said, never guessed."""

import platform
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import costal
from costal.labels.models import ModelVersion
from costal.labels.project import Project
from costal.labels.records import GIVEN, PresentationRow
from costal.labels.store import Store
from costal.numerals import counted
from costal.types import BackboneCard
from costal.workbench.overview import look
from costal.workbench.review import Accuracy, Review

HOW = {
    "single": "one by one",
    "bulk": "several at once",
    "accepted": "as accepted predictions",
    "imported": "imported from files",
}
ACQUISITION = {
    "bald": "the mutual information of prediction and model (BALD)",
    "predictive_entropy": "the predictive entropy",
    "std": "the standard deviation over dropout passes",
    "variation_ratio": "the variation ratio",
    "random": "a random number",
}
PACKAGES = {"NumPy": "numpy", "PyTorch": "torch", "timm": "timm"}


@dataclass(frozen=True, slots=True)
class Methods:
    """What the paragraph is made of: the project, its presentations in order, figures, newest model, versions."""

    project: Project
    rows: Sequence[PresentationRow]
    review: Review
    newest: ModelVersion | None
    pixel_um: tuple[float, ...]
    versions: Mapping[str, str]

    @property
    def labels(self) -> list[PresentationRow]:
        """The presentations whose class stands."""
        return [each for each in self.rows if each.stands and each.kind == "class"]

    @property
    def text(self) -> str:
        """The paragraph."""
        if not self.labels:
            return f"{self._crops()} No crop has been labelled yet."
        return " ".join(
            (
                self._crops(),
                self._classes(),
                self._givers(),
                self._choice(),
                self._effort(),
                self._model(),
                self._accuracy(),
                self._consistency(),
            )
        )

    def _crops(self) -> str:
        side, frames = self.project.tiling.crop, len({each.frame_id for each in self.labels})
        sizes = " or ".join(f"{each:.4g} µm" for each in self.pixel_um)
        known = f"pixel size {sizes}" if sizes else "the pixel size is not known"
        source = f" from {counted(frames, 'image')}" if frames else ""
        software = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        return f"Crops of {side} × {side} px ({known}){source} were labelled with {software}."

    def _classes(self) -> str:
        labels = Counter(self._meant(each.class_id) for each in self.labels)
        parts = []
        for each in self.project.classes:
            if labels[each.id]:
                about = f": {each.description.rstrip('.')}" if each.description else ""
                parts.append(f"{each.name} ({labels[each.id]:,}{about})")
        unknown = f" Classes that the project no longer has: {counted(labels[0], 'label')}." if labels[0] else ""
        count = f"{counted(len(self.labels), 'label')} of {counted(len(parts), 'class', 'classes')}"
        return f"The project has {count}: {_listed(parts)}.{unknown}"

    def _meant(self, class_id: int | None) -> int:
        project_class = self.project.class_of(class_id) if class_id is not None else None
        return project_class.id if project_class is not None else 0

    def _givers(self) -> str:
        names, given = (Counter(getattr(each, name) for each in self.labels) for name in ("annotator", "given"))
        people = _listed(f"{name or 'an unnamed annotator'} ({count:,})" for name, count in names.most_common())
        ways = _listed(f"{given[each]:,} {HOW[each]}" for each in GIVEN if given[each])
        unsure = sum(each.unsure for each in self.labels)
        doubts = f" The expert marked {unsure:,} of them as unsure." if unsure else ""
        return f"The labels were given by {people}: {ways}.{doubts}"

    def _choice(self) -> str:
        """Return how the crops that were labelled one by one were chosen."""
        single = [each for each in self.labels if each.given == "single"]
        if not single:
            return "The committee chose none of these crops."
        counts = Counter(_how_chosen(each) for each in single)
        parts = [f"{_chosen_text(way)} ({count:,}, {count / len(single):.0%})" for way, count in counts.most_common()]
        return f"The crops that were labelled one by one were chosen {_listed(parts)}."

    def _effort(self) -> str:
        if not any(each.events for each in self.rows):
            return "The effort was not measured."
        minutes, limit_s = f"{self.review.minutes:.1f}", f"{self.project.idle_limit_s:g}"
        return f"Single crops took {minutes} min of active time; pauses and gaps longer than {limit_s} s do not count."

    def _model(self) -> str:
        if self.newest is None:
            return "No model has been trained."
        agent, sha256 = self.newest.agent, self.newest.model_hash or "not known"
        return (
            f"Model {self.newest.number} was trained on {counted(agent.label_count, 'label')}: "
            f"{_seen_through(agent.backbone)} ({agent.settings.passes} passes of MC dropout; model SHA-256 {sha256})."
        )

    def _accuracy(self) -> str:
        accuracy = self.review.accuracy
        if not accuracy.count:
            return "No control crop was predicted before it was labelled, so no accuracy can be given."
        controls = counted(accuracy.count, "control crop")
        return (
            f"Accuracy was measured on {controls}, drawn at random and predicted before labelling: "
            f"{_interval(accuracy)} of these predictions were right."
        )

    def _consistency(self) -> str:
        consistency = self.review.consistency
        if not consistency.count:
            return "No crop was labelled twice to measure how consistent the expert is."
        again = counted(consistency.count, "crop")
        return (
            f"Of {again} shown again without notice, the expert gave {_interval(consistency)} the same label again; "
            "a measured accuracy cannot be higher than this share."
        )


def methods_of(folder: Path) -> Methods:
    """Return what a project's methods paragraph is made of, read from its folder. Not for the GUI thread.

    Raises
    ------
    ProjectError
        When it is no project, or its store cannot be read.
    """
    overview = look(folder)
    with Store(overview.project.store_path, read_only=True) as store:
        rows, sizes = store.presentations(), store.pixel_sizes()
    newest = overview.model_versions[0] if overview.model_versions else None
    return Methods(overview.project, rows, overview.review, newest, sizes, versions())


def versions() -> dict[str, str]:
    """Return the versions of this software and of what its figures depend on; what is not installed is left out."""
    versions_by_name = {"napari-costal": costal.__version__, "Python": platform.python_version()}
    for name, package in PACKAGES.items():
        try:
            versions_by_name[name] = version(package)
        except PackageNotFoundError:
            continue
    return versions_by_name


Way = tuple[str, float | None, float | None]


def _how_chosen(row: PresentationRow) -> Way:
    """Return why a crop was asked: a word, and by value the acquisition function with α and β."""
    if row.repeated:
        return "repeated", None, None
    if row.control:
        return "control", None, None
    if row.rank is None:
        return "expert", None, None
    if row.why.value is None or row.why.acquisition not in ACQUISITION:
        return "typical", None, None
    return row.why.acquisition, row.why.alpha, row.why.beta


def _chosen_text(way: Way) -> str:
    name, alpha, beta = way
    words = {
        "repeated": "to be shown again without notice",
        "control": "at random, as controls",
        "expert": "by the expert",
        "typical": "as typical crops of each kind, without a model",
    }
    if name in words:
        return words[name]
    figures = (f"{each:g}" if each is not None else "not known" for each in (alpha, beta))
    exponents = "α = {} and β = {}".format(*figures)
    return f"by the highest value I^α / C^β with {exponents}, where I is {ACQUISITION[name]}"


def _seen_through(card: BackboneCard | None) -> str:
    if card is None:
        return "a CNN trained from scratch (gal2017)"
    licence = f"licence {card.licence}" if card.licence else "licence not known"
    weights = f"weights SHA-256 {card.sha256}" if card.sha256 else "hash of the weights not known"
    source = f"from {card.source}" if card.source else "of unknown origin"
    return f"heads on the frozen network {card.name} (version {card.version}; {source}; {licence}; {weights})"


def _interval(accuracy: Accuracy) -> str:
    return f"{accuracy.share:.0%} (95% interval {accuracy.low:.0%} to {accuracy.high:.0%})"


def _listed(parts: Iterable[str]) -> str:
    every = list(parts)
    return every[0] if len(every) == 1 else f"{', '.join(every[:-1])} and {every[-1]}" if every else "none"
