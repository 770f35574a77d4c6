"""Nodes that can't make runs as the driver would: one line each, and runs go to others."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from grid.cluster.conftest import STORE
from grid.cluster.lost_runs import Unshared
from grid.cluster.test_data_sets import MINE, add_mine
from grid.cluster.unfit import CONTENT, full_disk_at_first, tell_data, tell_data_once_heard, write_checkpoint
from small_jobs import end_of, experiment, job

from relbench.grid.cluster import executor as module
from relbench.grid.cluster.changed_files import FilePiece
from relbench.grid.cluster.data_sets import VARIABLE
from relbench.grid.cluster.environment import environment, source_hash
from relbench.grid.cluster.executor import Cluster
from relbench.grid.cluster.fitness import ALL, Fitness, Refusal, of_another_environment
from relbench.grid.cluster.inputs import ObjectCache
from relbench.grid.cluster.share import Share
from relbench.grid.jobs import Failure
from relbench.results.run_folder import RunFolder
from relbench.settings import changed

ONE, TWO = Share(cpus=1, gpus=0), Share(cpus=2, gpus=0)
NODE = "0", "host (10.0.0.1)"


@pytest.fixture(scope="module")
def apart(cluster, tmp_path_factory):
    """The folder of data sets of a third node, which has two processors."""
    folder = tmp_path_factory.mktemp("node") / "data"
    node = cluster.add_node(num_cpus=2, object_store_memory=STORE, env_vars={VARIABLE: str(folder)})
    yield folder
    cluster.remove_node(node)


@pytest.fixture
def mine(tmp_path):
    """A job on own data, which are on this machine."""
    add_mine(tmp_path / "data", tmp_path / "source")
    return lambda run, seed=0: replace(
        job(tmp_path, run), experiments=(changed(experiment(seed), {"data": MINE}),), runs=tmp_path / "runs"
    )


@pytest.mark.parametrize(
    ("name", "here", "words"),
    [
        ("Python", "3.10", "it has Python 3.10, and the command has Python 3.11: install the same in both places"),
        ("relbench", "", "it has no relbench, and the command has relbench 9: install the same in both places"),
        ("torch", "2.0", "it has torch 2.0, and the command has torch 2.15: install the same in both places"),
        ("source files", "b", "its relbench 9 has other source files than the command's: install the same"),
    ],
)
def test_what_differs_is_named(name, here, words):
    driver = {"Python": "3.11", "relbench": "9", "source files": "a", "torch": "2.15"}
    refusal = of_another_environment(NODE, driver | {name: here}, driver, driver)
    assert str(refusal) == f"node host (10.0.0.1): {words}"
    changed_since = of_another_environment(NODE, driver | {name: here}, driver, driver | {"source files": "new"})
    assert changed_since.words == "relbench has changed since the command began: give it again, finished runs stay"


def test_a_node_gets_no_job_like_one_that_it_has_refused(tmp_path):
    """Any job, jobs on a data set, or one job: others may still come."""
    fitness, refused, other = Fitness(ONE), job(tmp_path, tell_data, 0), job(tmp_path, tell_data, 1)
    elsewhere = replace(other, experiments=(changed(experiment(0), {"data": MINE}),))
    for node, about in (("a", ALL), ("b", "glyphs"), ("c", experiment(0).fingerprint)):
        assert fitness.note(Refusal((node, ""), about, ""))
        assert not fitness.note(Refusal((node, ""), about, "again"))
    unfit = [fitness.options(one)["label_selector"]["ray.io/node-id"] for one in (refused, other, elsewhere)]
    assert unfit == ["!in(a,b,c)", "!in(a,b)", "!in(a)"]
    assert Fitness(ONE).options(refused) == {}


def test_source_files_are_those_of_data_too(tmp_path):
    package = tmp_path / "package"
    (package / "__pycache__").mkdir(parents=True)
    (package / "code.py").write_text("a = 1\n")
    hashes = [source_hash(package)]
    for name, content in (("code.py", "a = 2\n"), ("card.toml", ""), ("card.toml", "x"), ("__pycache__/code.pyc", "")):
        (package / name).write_text(content)
        hashes.append(source_hash(package))
    (package / "card.toml").rename(package / "cart.toml")
    assert len({*hashes, source_hash(package)}) == 5
    assert hashes[-1] == hashes[-2]


def test_a_node_without_relbench_can_say_so(tmp_path):
    """The function travels as it is: here to a Python that finds Ray, and no relbench."""
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    ray.cloudpickle.register_pickle_by_value(module.environment)
    (tmp_path / "function").write_bytes(ray.cloudpickle.dumps(environment))
    ask = "import sys, pickle; sys.path.append(sys.argv[1]); print(pickle.load(open(sys.argv[2], 'rb'))()['relbench'])"
    packages = str(Path(ray.__file__).parents[1])
    command = [sys.executable, "-I", "-S", "-c", ask, packages, str(tmp_path / "function")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("\n", "")


def test_where_no_node_has_the_environment_the_command_ends(cluster, tmp_path):
    """Here, as that of all this machine has changed since."""
    with Cluster(ONE, tmp_path / "runs") as executor:
        executor._environment = {**executor._environment, "torch": "1.0"}
        with pytest.raises(ValueError, match=r"^node .* \(.*\): relbench has changed since the command began: "):
            executor.submit(job(tmp_path, tell_data)).result()
    assert not list((tmp_path / "runs").iterdir())


def test_a_node_renders_into_a_folder_of_its_own(apart, tmp_path):
    with Cluster(TWO, tmp_path / "runs") as executor:
        assert end_of(executor.submit(job(tmp_path, tell_data)).result()) == str(apart)
    assert list(apart.glob("glyphs/*.raw"))


def test_runs_that_no_node_can_make_are_refused(apart, mine, tmp_path):
    """The second is not handed over at all."""
    with Cluster(TWO, tmp_path / "runs") as executor:
        ends = [end_of(executor.submit(mine(tell_data, seed)).result()) for seed in range(2)]
    assert ends[0] == ends[1]
    assert f"mine was added on the machine of the command, and is not in {apart}: let --data be" in ends[0].words


def test_runs_go_to_other_nodes(apart, mine, tmp_path):
    """Of three at once, one comes to the node with two processors; the others hold theirs until it has refused."""
    heard = []

    def hear(words):
        heard.append(words)
        (tmp_path / "heard").touch()

    with Cluster(ONE, tmp_path / "runs", 3, hear) as executor:
        assert executor.slots == 3
        futures = [executor.submit(mine(tell_data_once_heard, seed)) for seed in range(3)]
        assert {end_of(future.result()) for future in futures} == {str(tmp_path / "data")}
    assert len(heard) == 1
    assert heard[0].endswith("with the images in it; runs go to other nodes")


def test_a_node_that_can_not_be_written_to_is_passed_over(apart, tmp_path):
    """Here its folder of data sets is a file."""
    moved = apart.rename(apart.with_name("moved"))
    apart.touch()
    images = changed(experiment(0).data, {"train_classes": 3})
    one = replace(job(tmp_path, tell_data), experiments=(changed(experiment(0), {"data": images}),))
    with Cluster(TWO, tmp_path / "runs") as executor:
        end = end_of(executor.submit(one).result())
    apart.unlink()
    moved.rename(apart)
    assert "Not a directory" in end.words
    assert end.words.endswith("free some space, change the rights or choose another folder, then try again")


def test_a_run_goes_on_elsewhere_if_its_node_is_full(cluster, tmp_path):
    heard, one = [], job(tmp_path, full_disk_at_first)
    with Unshared(ONE, tmp_path / "runs", hear=heard.append) as executor:
        assert end_of(executor.submit(one).result()) == "half of it"
    folder = one.folders[experiment(0).fingerprint]
    error = f"[Errno 28] No space left on device: '{folder.checkpoint}' (traceback: {folder.error})"
    assert [words.partition(": ")[2] for words in heard] == [f"{error}; runs go to other nodes"]


def damaged(message):
    """A message whose piece of a file has another byte."""
    return replace(message, piece=spoilt(message.piece)) if isinstance(message, FilePiece) else message


def spoilt(piece):
    return replace(piece, content=b"_" + piece.content[1:])


@pytest.mark.parametrize("times", [1, 2])
def test_what_arrives_damaged_is_fetched_again_once(cluster, tmp_path, monkeypatch, times):
    ray, seen = module.ray(), []

    def get(reference):
        seen.append(reference)
        message = ray.get(reference)
        return damaged(message) if seen.count(reference) <= times else message

    class Damaging:
        def __getattr__(self, name):
            return get if name == "get" else getattr(ray, name)

    monkeypatch.setattr(module, "ray", Damaging)
    with Unshared(ONE, tmp_path / "runs") as executor:
        end = end_of(executor.submit(job(tmp_path, write_checkpoint)).result())
    folder = RunFolder(tmp_path / "runs", experiment(0))
    if times == 1:
        assert end == "a row"
        assert folder.checkpoint.read_bytes() == CONTENT
    else:
        assert end == Failure(
            f"{folder.checkpoint} has arrived damaged, and so it has at a second try: run the command again"
        )
        assert [path.name for path in folder.path.iterdir()] == []


def test_what_arrives_damaged_on_a_node(cluster, tmp_path):
    """No node gets a sound checkpoint: the run is refused by each of them."""
    folder = RunFolder(tmp_path / "runs", experiment(0))
    folder.path.mkdir(parents=True)
    folder.checkpoint.write_bytes(CONTENT)
    with Unshared(ONE, tmp_path / "runs") as executor:
        executor._cache = ObjectCache(lambda piece: module.ray().put(spoilt(piece)))
        end = end_of(executor.submit(job(tmp_path, write_checkpoint)).result())
    assert "checkpoint.pt has arrived damaged, and so it has at a second try" in end.words
    assert folder.checkpoint.read_bytes() == CONTENT
