"""An experiment spread over processes: equal files whatever the workers do, and refusals that say why."""

import os
import random
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import closing, contextmanager
from dataclasses import replace
from types import SimpleNamespace

import distributed
import psutil
import pytest
from distributed import LocalCluster
from filelock import FileLock

from costal.cli.terminal import warn_of_scheduler
from costal.errors import CostalError, DatasetError
from costal.paper.archive import arm_folder, write_tables
from costal.paper.datasets import load_dataset, synthetic_dataset
from costal.paper.plan import Arm, Experiment, Plan
from costal.paper.runner import rounds_left, run_names, run_task, tasks
from costal.spread import cluster as dask_cluster
from costal.spread import experiments, workers
from costal.spread.experiments import run_spread
from costal.types import Training, finish

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
PATIENCE_S = 300
EXPERIMENT = Experiment(pool_size=30, n=4, passes=3, device="cpu", training=Training(min_steps=5, epochs=0))
ARMS = (Arm("learned", acquisition="std", beta=0.3, diverse=True), Arm("random", acquisition="random"))
PLAN = Plan("tiny", "synthetic", ARMS, EXPERIMENT, rounds=3, repeats=2, stack=2, test_every=3, committee_every=3)
SHORT = replace(PLAN, name="short", arms=ARMS[1:], rounds=1, repeats=1, stack=1)
FINGERPRINT = synthetic_dataset().fingerprint
ROWS = len(run_names(PLAN)) * (PLAN.rounds + 1)


def run_plainly(plan, folder):
    dataset = load_dataset(plan.data)
    for task in tasks(plan):
        finish(run_task(plan, task, folder, dataset))


def files_of(plan, folder):
    write_tables(folder, run_names(plan))
    kept = [path for ending in ("npz", "json") for path in (folder / "runs").rglob(f"*.{ending}")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in (*kept, folder / "rounds.csv")}


def left_of(plan, folder):
    return sum(rounds_left(plan, task, folder) for task in tasks(plan))


def until(job, is_enough):
    """Return the first progress of a job that is enough."""
    return next(each for each in job if is_enough(each))


def worker_processes():
    return [
        process
        for process in psutil.Process().children(recursive=True)
        if any("spawn_main" in part for part in process.cmdline())
    ]


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """Return the files of the tiny plan run without dask."""
    folder = tmp_path_factory.mktemp("plain")
    run_plainly(PLAN, folder)
    return files_of(PLAN, folder)


@pytest.fixture(scope="module")
def cluster():
    """Return the address of a scheduler with one worker, which several tests share."""
    with LocalCluster(1, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=50) as cluster:
        yield cluster.scheduler_address


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch):
    monkeypatch.setattr(dask_cluster, "LOOK_EVERY_S", 0.2)
    monkeypatch.setattr(dask_cluster, "CONNECT_S", 2.0)


# the same files


@pytest.mark.parametrize("where", ["local:1", "local:2"])
def test_the_number_of_workers_changes_no_byte(where, expected, tmp_path):
    before = len(worker_processes())
    progress = list(run_spread(PLAN, tmp_path, where, FINGERPRINT))
    assert files_of(PLAN, tmp_path) == expected
    assert len(expected) == 2 * ROWS + 1
    assert [each.done for each in progress] == sorted(each.done for each in progress)
    assert {each.total for each in progress} == {ROWS}
    assert len(worker_processes()) == before


def test_runs_that_end_by_their_cost_are_the_same_on_workers(tmp_path):
    plan = replace(PLAN, name="stopping", experiment=replace(EXPERIMENT, stop_cost=698.0), recalls=True)
    run_plainly(plan, tmp_path / "plain")
    (tmp_path / "spread").mkdir()
    for _ in run_spread(plan, tmp_path / "spread", "local:2", FINGERPRINT):
        pass
    files = files_of(plan, tmp_path / "plain")
    assert len(files) < 2 * ROWS + 1
    assert files_of(plan, tmp_path / "spread") == files


def test_a_worker_killed_in_between_changes_no_byte(expected, tmp_path):
    before = worker_processes()
    with closing(run_spread(PLAN, tmp_path, "local:2", FINGERPRINT)) as job:
        until(job, lambda each: each.done)
        assert left_of(PLAN, tmp_path)
        victim = random.Random(0).choice([each for each in worker_processes() if each not in before])
        victim.kill()
        for _ in job:
            pass
    assert files_of(PLAN, tmp_path) == expected


@pytest.mark.parametrize("is_local", [True, False], ids=["local", "elsewhere"])
def test_a_job_that_is_closed_stops_its_tasks_and_goes_on_without_dask(is_local, expected, tmp_path, cluster):
    before = len(worker_processes())
    job = run_spread(PLAN, tmp_path, "local:1" if is_local else cluster, FINGERPRINT)
    until(job, lambda each: each.done)
    job.close()
    assert len(worker_processes()) == before
    with FileLock(arm_folder(tmp_path, "learned", 0) / "task.lock", timeout=30):
        left = left_of(PLAN, tmp_path)
    assert left
    time.sleep(1)
    assert left_of(PLAN, tmp_path) == left
    run_plainly(PLAN, tmp_path)
    assert files_of(PLAN, tmp_path) == expected


def test_nothing_is_started_when_nothing_is_left(tmp_path, cluster):
    finish(run_spread(SHORT, tmp_path, cluster, FINGERPRINT))
    assert list(run_spread(SHORT, tmp_path, "tcp://127.0.0.1:1", FINGERPRINT)) == []


def test_one_plan_may_run_in_two_folders_at_once(tmp_path, cluster):
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    job = run_spread(SHORT, one, cluster, FINGERPRINT)
    until(job, lambda each: "Tasks left" in each.message)
    finish(run_spread(SHORT, other, cluster, FINGERPRINT))
    finish(job)
    assert files_of(SHORT, one) == files_of(SHORT, other)


def test_a_task_that_another_process_is_still_at_waits_for_it(tmp_path, cluster):
    place = arm_folder(tmp_path, "random", 0)
    place.mkdir(parents=True)
    job = run_spread(SHORT, tmp_path, cluster, FINGERPRINT)
    with FileLock(place / "task.lock"):
        until(job, lambda each: "Tasks left" in each.message)
        began = time.monotonic()
        assert until(job, lambda each: each.done or time.monotonic() - began > 3).done == 0
    finish(job)
    assert left_of(SHORT, tmp_path) == 0


# workers that die


def one_round_then_the_end(place, names):
    """Return a task that finishes one round, of which only its being there counts, and ends its worker."""

    def run(context, task):
        done = len(list(place.glob("*.json")))
        if done <= context.work.plan.rounds:
            (place / f"round-{done:03}.json").touch()
            os._exit(1)

    return run


def test_workers_may_die_as_often_as_there_are_rounds(tmp_path, monkeypatch):
    plan = replace(SHORT, rounds=4)  # dask itself lets a task end four workers
    place = arm_folder(tmp_path, "random", 0)
    place.mkdir(parents=True)
    monkeypatch.setattr(experiments, "_run", one_round_then_the_end(place, run_names(plan)))
    finish(run_spread(plan, tmp_path, "local:1", FINGERPRINT))
    assert left_of(plan, tmp_path) == 0


def test_a_task_that_only_ends_workers_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(experiments, "_run", lambda context, task: os._exit(1))
    with pytest.raises(CostalError, match=r"'random 0' ended every worker .* Lower stack or pool_size"):
        finish(run_spread(SHORT, tmp_path, "local:1", FINGERPRINT))


@contextmanager
def started(*arguments):
    process = subprocess.Popen([sys.executable, "-m", *map(str, arguments)], stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_scheduler_waits_for_workers_and_when_it_dies_what_was_written_stays(expected, tmp_path):
    file, folder = tmp_path / "scheduler.json", tmp_path / "run"
    folder.mkdir()
    quiet = ("--no-dashboard", "--host", "127.0.0.1")
    with started("distributed.cli.dask_scheduler", "--port", 0, "--scheduler-file", file, *quiet) as scheduler:
        while not file.exists():
            time.sleep(0.1)
        job = run_spread(PLAN, folder, str(file), FINGERPRINT)
        until(job, lambda each: "Start one: dask worker tcp://127.0.0.1:" in each.message)
        with started("distributed.cli.dask_worker", "--scheduler-file", file, "--nthreads", 1, "--no-nanny", *quiet):
            until(job, lambda each: each.done)
            scheduler.kill()
            with pytest.raises(
                CostalError, match=r"scheduler of .*scheduler\.json was lost\. Finished work is in .* run the same"
            ):
                finish(job)
    assert 0 < left_of(PLAN, folder) < ROWS
    run_plainly(PLAN, folder)
    assert files_of(PLAN, folder) == expected


# workers that differ, and what a task may raise


def other_environment(monkeypatch, **changes):
    own = workers.environment
    monkeypatch.setattr(workers, "environment", lambda *queries: replace(own(*queries), **changes))


@pytest.mark.parametrize(
    ("name", "theirs"),
    [("source", "another"), ("torch", "1.0"), ("numpy", "1.0"), ("python", "3.1.0"), ("costal", "0.0")],
)
@pytest.mark.parametrize("is_late", [False, True], ids=["there at the start", "late"])
def test_a_worker_of_another_kind_is_refused_with_the_difference(name, theirs, is_late, tmp_path, cluster, monkeypatch):
    if is_late:
        monkeypatch.setattr(dask_cluster, "_require_alike", lambda *_: None)
    other_environment(monkeypatch, **{name: theirs})
    shown = theirs.removesuffix(".0") if name == "python" else theirs
    with pytest.raises(CostalError, match=rf"The worker tcp://\S+ on \S+ differs from .*: {name}: {shown} and \S+\. "):
        finish(run_spread(SHORT, tmp_path, cluster, FINGERPRINT))
    assert not (tmp_path / "runs").exists()


def test_a_scheduler_with_other_code_is_refused(tmp_path, cluster, monkeypatch):
    monkeypatch.setattr(dask_cluster, "admit", lambda context, dask_worker: None)
    other_environment(monkeypatch, source="another")
    with pytest.raises(CostalError, match=r"^The scheduler has other source code .* \(MD5 \w+ and another\)"):
        finish(run_spread(SHORT, tmp_path, cluster, FINGERPRINT))


def test_another_system_or_processor_is_no_difference(tmp_path, cluster, monkeypatch):
    other_environment(monkeypatch, system="another", processor="another", device="another")
    finish(run_spread(SHORT, tmp_path, cluster, FINGERPRINT))
    assert left_of(SHORT, tmp_path) == 0


def test_a_worker_with_other_crops_is_refused(tmp_path, cluster):
    with pytest.raises(CostalError, match=f"fingerprint: of others and {FINGERPRINT}"):
        finish(run_spread(SHORT, tmp_path, cluster, "of others"))


def test_a_worker_without_the_crops_is_refused(tmp_path, cluster):
    with pytest.raises(
        CostalError, match=r"The worker \S+ on \S+ cannot load 'nowhere': 'nowhere' is neither a data set"
    ):
        finish(run_spread(replace(SHORT, data="nowhere"), tmp_path, cluster, FINGERPRINT))


def test_a_worker_that_does_not_share_the_folder_is_refused(tmp_path, cluster, monkeypatch):
    elsewhere = SimpleNamespace(name=str(tmp_path / "elsewhere" / "token"))
    monkeypatch.setattr(dask_cluster.tempfile, "NamedTemporaryFile", lambda **_: closing(elsewhere))
    elsewhere.close = lambda: None
    with pytest.raises(CostalError, match=r"does not see .* Choose a folder with --out that all machines share"):
        finish(run_spread(SHORT, tmp_path, cluster, FINGERPRINT))


def test_a_worker_that_cannot_be_asked_is_named(tmp_path, cluster, monkeypatch):
    monkeypatch.setattr(dask_cluster, "admit", lambda context, dask_worker: {}["what it lacks"])
    with pytest.raises(CostalError, match=r"The worker tcp://\S+ cannot be checked \(KeyError: 'what it lacks'\)\. "):
        finish(run_spread(SHORT, tmp_path, cluster, FINGERPRINT))


def test_what_a_task_raises_is_raised_as_it_was(tmp_path, cluster):
    plan = replace(SHORT, experiment=replace(EXPERIMENT, pool_size=60_000))
    with pytest.raises(DatasetError, match=r"^1 disjoint pools of 60000 images and 20 initial images need 60,020"):
        finish(run_spread(plan, tmp_path, cluster, FINGERPRINT))


def test_what_nobody_foresaw_is_told_with_the_name_of_the_task(tmp_path, cluster):
    plan = replace(SHORT, experiment=replace(EXPERIMENT, seed=None))
    with pytest.raises(CostalError, match=r"^'random 0' failed on a worker \(\w+Error: .*\)\. Finished work is in"):
        finish(run_spread(plan, tmp_path, cluster, FINGERPRINT))


# where to run


@pytest.mark.parametrize(
    "where", ["", "local", "local:", "local:0", "local:two", "local:-1", "http://host:1", "tcp://", "nowhere.json", "."]
)
def test_a_place_that_says_nothing_is_refused_with_the_forms(where, tmp_path):
    with pytest.raises(
        CostalError,
        match=r"is neither an address nor an existing file.* local:4 .* tcp://HOST:PORT or tls://HOST:PORT .* file",
    ):
        finish(run_spread(SHORT, tmp_path, where, FINGERPRINT))


@pytest.mark.parametrize("text", ["", "no json", "[]", '"text"', '{"id": 1}'])
def test_a_file_that_is_no_scheduler_file_is_refused(text, tmp_path):
    file = tmp_path / "scheduler.json"
    file.write_text(text)
    with pytest.raises(
        CostalError, match=r"scheduler\.json is not a scheduler file .* 'dask scheduler --scheduler-file"
    ):
        finish(run_spread(SHORT, tmp_path, str(file), FINGERPRINT))


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:1", "tcp://nowhere.invalid:1", "tcp://no port", "tls://127.0.0.1:1"]
)
def test_a_scheduler_out_of_reach_is_refused_before_long(address, tmp_path):
    began = time.monotonic()
    with pytest.raises(CostalError, match=r"No scheduler answers at \S+.* Start one with 'dask scheduler'"):
        finish(run_spread(SHORT, tmp_path, address, FINGERPRINT))
    assert time.monotonic() - began < 30


def test_without_the_extra_the_command_that_installs_it_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(CostalError, match=r'pip install "napari-costal\[distributed\]"'):
        finish(run_spread(SHORT, tmp_path, "local:1", FINGERPRINT))


def test_the_module_loads_without_dask():
    script = "import sys; sys.modules['distributed'] = sys.modules['dask'] = None; "
    script += "import costal.spread.experiments, costal.spread.images"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=PATIENCE_S)


# who may join


JOIN = """
import os, sys
import distributed
security = distributed.Security.temporary() if sys.argv[3] == "other keys" else None
if sys.argv[2] == "another":
    os.setgid(65534)
    os.setuid(65534)
address = sys.argv[1] if sys.argv[3] != "tcp" else sys.argv[1].replace("tls", "tcp")
try:
    with distributed.Client(address, timeout=3, security=security) as client:
        print(client.submit(os.getpid).result(timeout=3))
except Exception as error:
    print("refused", type(error).__name__)
"""


@pytest.mark.parametrize("user", ["the same", "another"])
@pytest.mark.parametrize("keys", ["no keys", "other keys", "tcp"])
def test_a_process_without_the_runs_keys_cannot_join_the_workers_of_this_machine(user, keys):
    if user == "another" and (os.name == "nt" or os.getuid() != 0):
        pytest.skip("only root can start a process of another user")
    with dask_cluster._local_cluster(1, False) as here:
        assert here.scheduler_address.startswith("tls://127.0.0.1:")
        command = [sys.executable, "-c", JOIN, here.scheduler_address, user, keys]
        joined = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert joined.stdout.startswith("refused"), joined.stdout + joined.stderr
        with distributed.Client(here) as client:
            assert client.submit(abs, -2).result(timeout=60) == 2


@pytest.mark.parametrize("of_the_user", [None, "262144"])
def test_a_worker_has_the_memory_settings_of_its_user_not_those_of_dask(of_the_user, monkeypatch):
    """Dask's own trim threshold made a training 1.4 times as long."""
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    if of_the_user is not None:
        monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", of_the_user)
    with dask_cluster._local_cluster(1, False) as here, distributed.Client(here) as client:
        environ = client.submit(lambda: dict(os.environ)).result(timeout=60)
        assert environ.get("MALLOC_TRIM_THRESHOLD_") == of_the_user
        assert environ["OMP_NUM_THREADS"] == "1"


@pytest.mark.parametrize(("has_dashboard", "status"), [(False, 404), (True, 200)])
def test_there_is_a_dashboard_only_when_it_is_asked_for(has_dashboard, status):
    pytest.importorskip("bokeh")
    with dask_cluster._local_cluster(1, has_dashboard) as here, distributed.Client(here) as client:
        for page in ("status", "info/main/workers.html"):
            try:
                with urllib.request.urlopen(client.dashboard_link.replace("status", page)) as answer:
                    code = answer.status
            except urllib.error.HTTPError as error:
                code = error.code
                error.close()
            assert code == status
        processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
        ports = [each.laddr for one in processes for each in one.net_connections() if each.status == "LISTEN"]
        assert {port.ip for port in ports} == {"127.0.0.1"}


@pytest.mark.parametrize(
    ("where", "expected"),
    [("local:2", False), ("local:2+dashboard", False), ("tcp://host:1", True), ("tls://host:1", False)],
)
def test_a_scheduler_without_keys_is_known_by_its_address(where, expected):
    assert dask_cluster.is_unauthenticated(where) is expected


def test_a_command_says_that_a_scheduler_is_unauthenticated(tmp_path, capsys):
    (tmp_path / "scheduler.json").write_text('{"address": "tcp://10.0.0.1:8786"}')
    for where in ("tcp://10.0.0.1:8786", str(tmp_path / "scheduler.json")):
        warn_of_scheduler(where)
        assert capsys.readouterr().err.startswith(f"costal: the scheduler at {where} has no authentication: anybody")
    for where in ("local:2", "tls://10.0.0.1:8786", None):
        warn_of_scheduler(where)
    assert capsys.readouterr().err == ""
