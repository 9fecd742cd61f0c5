"""A frame scored, whatever its size: the one job that the window, the command line and workers run."""

from costal.scoring.bands import score_bands
from costal.scoring.cold_start import cold_start
from costal.scoring.prepare import Prepared
from costal.scoring.scores import FrameScores, put_together
from costal.scoring.summaries import keep_summary
from costal.types import Job


def score_prepared(prepared: Prepared, with_features: bool = True) -> Job[FrameScores]:
    """Return the scores of a frame's crops, in any process; of bands that are kept, none that is there is made again.

    Without a model the crops are looked at for a first query. Closed, the job keeps the bands that are finished.

    Raises
    ------
    CostalError
        When the frame is another one by now, it cannot be read, or the agent cannot be asked.
    """
    work = prepared.work
    plane_C_Y_X = work.open()
    if not prepared.has_model:
        return (yield from cold_start(prepared, plane_C_Y_X))
    made = yield from score_bands(work, plane_C_Y_X, prepared.agent, prepared.to_do)
    device = made.device or _device(work.device)
    scores = put_together(prepared, made.bands, device=device, notes=made.notes, with_features=with_features)
    keep_summary(prepared, scores)
    return scores


def _device(name: str) -> str:
    """Return on which device would have been scored: all bands were there."""
    from costal.agent.devices import choose_device, describe_device

    return describe_device(choose_device(name))
