"""The figures of the benchmarks as tables for a terminal."""

from tests.benchmarks.committee import CommitteeFigures
from tests.benchmarks.frames import FramesFigures
from tests.benchmarks.imports import ImportFigures
from tests.benchmarks.machine import Machine
from tests.benchmarks.training import ROUND_LABELS, SCORED_CROPS, TrainingFigures


def about(here: Machine) -> list[str]:
    """Return on which machine, and with what, figures were taken."""
    there = here.environment
    load = "" if here.load is None else f", load {here.load:g}"
    return [
        f"{there.device}: {there.processor}, {here.cores} cores{load}, {there.system}",
        f"costal {there.costal} ({here.commit[:12] or 'no commit'}), torch {there.torch}, numpy {there.numpy}, "
        f"Python {there.python}",
    ]


def committee_table(found: CommitteeFigures) -> list[str]:
    """Return what a committee takes, and whether it says the same."""
    unit, agreement, overhead = found.unit, found.agreement, found.overhead
    lines = []
    for (channels, side, count), limit, factor in zip(found.request.shapes, found.limits, found.of_limit, strict=True):
        lines += [f"{count} crops of {channels} x {side} x {side}, {found.request.passes} passes, in {unit}"]
        lines += [
            f"  {row.name:24} {row.seconds:9.3f}  ({row.least:.3f} to {row.most:.3f})  {row.ratio:6.1f} x"
            for row in found.rows
            if (row.channels, row.side) == (channels, side)
        ]
        lines += [
            f"  its operations alone: {limit.operations / 1e9:.1f} GFLOP at {limit.rate / 1e9:.0f} GFLOP/s in "
            f"{limit.precision}: {limit.seconds:.3f}; ours is {factor:.2f} x that",
            "",
        ]
    ranks = ", ".join(f"{name} {rank:.5f}" for name, rank in found.rank_correlation.items())
    lines += [
        f"I of {agreement.crops} crops over {agreement.seeds} mask seeds, beside ordinary dropout: means within two "
        f"standard errors for {agreement.within:.0%}, spread {agreement.spread_ratio:.3f} x",
        f"Rank correlation with float64: {ranks}",
        f"A frame of {overhead.crops} crops of {overhead.side} px: {overhead.whole:.3f} {unit} to score, "
        f"{overhead.committee:.3f} of the committee alone, {overhead.ratio:.2f} x",
    ]
    return [*lines, f"Not installed: {', '.join(found.missing)}"] if found.missing else lines


def training_table(found: TrainingFigures) -> list[str]:
    """Return what training and a round take, and the learning curves."""
    request, tuning, unit = found.request, found.tuning, found.unit
    layout = "channels last" if tuning.channels_last else "contiguous"
    threads = "1 thread" if tuning.threads == 1 else f"{tuning.threads} threads"
    lines = [
        f"{request.models} models of {request.labels} labels, {found.repeats} repeats, {request.training.precision}",
        f"  one stack          {found.stack_s:9.4f} {unit} a model  {1 / found.stack_s:9.2f} models a {unit}",
        f"  one after another  {found.peer_s:9.4f} {unit} a model  {1 / found.peer_s:9.2f} models a {unit}"
        f"  ({layout}, {threads})",
        f"  the stack's throughput is {found.ratio:.2f} x the peer's "
        f"({found.ratio_least:.2f} to {found.ratio_most:.2f} over the repeats)",
        "",
        "labels  models  stack            peer             difference, 95 %",
    ]
    lines += [
        f"{at.labels:6}  {at.models:6}  {at.stack_mean:.4f} ± {at.stack_spread:.4f}  {at.peer_mean:.4f} ± "
        f"{at.peer_spread:.4f}  {at.low:+.4f} to {at.high:+.4f}  {'same' if at.agrees else 'NOT the same'}"
        for at in found.parity
    ]
    lines += ["", f"A round: {ROUND_LABELS} labels trained on, {SCORED_CROPS} crops scored, all tests, in {unit}"]
    lines += [
        f"  {each.name:24} train {each.train:7.3f}  score {each.score:7.3f}  test {each.test:7.3f}  accuracy "
        f"{each.accuracy:.4f}  ours takes {each.ratio:.2f} x"
        for each in found.rounds
    ]
    hours = ", ".join(f"{name} {seconds / 60:.1f}" for name, seconds in found.forecast_s.items())
    kind = "minutes of one core" if unit == "CPU s" else "minutes"
    return [*lines, "", f"Whole experiments, estimated from these figures, in {kind}: {hours}"]


def starts_table(found: ImportFigures) -> list[str]:
    """Return what starting takes."""
    lines = [f"the best of {found.starts[0].runs}           clock s     CPU s"]
    lines += [f"  {each.name:22} {each.wall_s:9.3f} {each.cpu_s:9.3f}" for each in found.starts]
    if not found.docks:
        return lines
    lines += ["", "opening in napari         clock s     CPU s   torch?   late at rest   while torch loads, worst ms"]
    return lines + [
        f"  {each.name:22} {each.wall_s:9.3f} {each.cpu_s:9.3f}   {'yes' if each.imported_torch else 'no':6} "
        f"{each.rest_worst_ms:14.1f} {each.torch_worst_ms:19.1f}"
        for each in found.docks
    ]


def frames_table(found: FramesFigures) -> list[str]:
    """Return what large frames take."""
    asked = found.request
    pixels, sparse = f"{asked.side:,} x {asked.side:,}", f"{asked.sparse_side:,} x {asked.sparse_side:,}"
    return [
        f"{pixels} pixels, crops of {asked.crop} px, T = {asked.passes}, {asked.repeats} repeats",
        f"  costal          {found.ours_ms:8.3f} CPU ms a crop  {found.ours_peak_mb:7.0f} MB at most, "
        f"{found.grown_mb:.0f} MB over the loaded model  mean I {found.ours_information:.4f}",
        f"  dask and torch  {found.peer_ms:8.3f} CPU ms a crop  {found.peer_peak_mb:7.0f} MB at most"
        f"  (the first {asked.peer_share:.0%} of the rows)  mean I {found.peer_information:.4f}",
        f"  that is {found.ratio:.1f} x",
        f"{sparse} pixels, sparse: {found.sparse_crops:,} crops, {found.sparse_peak_mb:.0f} MB at most, "
        f"{found.sparse_grown_mb:.0f} MB over the loaded model",
        f"stopped within {found.cancel_s:.2f} s",
        f"a rerun scored {found.rescored} crops and took {found.rerun_cpu_s:.1f} CPU s",
    ]
