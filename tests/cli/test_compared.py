"""`relbench evaluate --compare`: both sides, what their difference says, and refusals in one line."""

import json

import numpy as np
import pytest

import relbench

CLASSES, IMAGES = 15, 6
LABELS = np.repeat(np.arange(CLASSES), IMAGES)
CENTRES = np.random.default_rng(0).normal(size=(CLASSES, 4))[LABELS]


def rows(blur, seed, dim=4):
    return (CENTRES[:, :dim] + blur * np.random.default_rng(seed).normal(size=(len(LABELS), dim))).astype(np.float32)


@pytest.fixture
def folder(tmp_path):
    for seed in range(3):
        np.savez(tmp_path / f"a{seed}.npz", embeddings=rows(0.3, seed), labels=LABELS)
        np.save(tmp_path / f"b{seed}.npy", rows(1.5, 10 + seed, dim=3))
    np.save(tmp_path / "labels.npy", LABELS)
    return tmp_path


def test_two_networks(call, folder):
    done = call("evaluate", folder / "a0.npz", "--compare", folder / "b0.npy", "--k", "2,1")
    assert done.code == 0
    found = relbench.compare(rows(0.3, 0), rows(1.5, 10, dim=3), LABELS, ks=(2, 1))
    assert done.out.splitlines()[:2] == [f"A: {folder / 'a0.npz'}", f"B: {folder / 'b0.npy'}"]
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in done.out.splitlines() if "│" in line]
    assert [line[0] for line in lines] == ["Recall@2", "Recall@1", "R-precision", "MAP@R"]
    assert [float(cell) for cell in lines[0][1:3]] == [round(100 * value, 2) for value in found.means("recall@2")]
    assert [line[-1] for line in lines] == ["< 0.001", "", "", ""]
    assert done.out.endswith(f"{found.in_words('A', 'B')}\n")
    assert "A is better than B on new classes of this kind: Recall@2 +" in done.out


def test_several_training_runs_and_every_class(call, folder):
    more = [part for seed in (1, 2) for part in ("--also", folder / f"a{seed}.npz")]
    others = [part for seed in range(3) for part in ("--compare", folder / f"b{seed}.npy")]
    labels = ("--compare-labels", folder / "labels.npy")
    done = call("evaluate", folder / "a0.npz", *more, *others, *labels, "--json", "--by-class")
    content = json.loads(done.out)
    assert (content["verdict"], content["runs"]) == ("beats", [3, 3])
    ours, theirs = [rows(0.3, seed) for seed in range(3)], [rows(1.5, 10 + seed, dim=3) for seed in range(3)]
    assert content == json.loads(relbench.compare(ours, theirs, LABELS).json(by_class=True))
    differences = [line["difference"] for line in content["by_class"]]
    assert differences == sorted(differences)
    assert np.mean(differences) == pytest.approx(content["metrics"]["recall@1"]["difference"])
    text = call("evaluate", folder / "a0.npz", *more, *others[:2], "--by-class").out
    assert "Nothing is said about other training runs of B: there is one for all." in text


def test_what_belongs_to_the_first_is_not_asked_of_the_others(call, folder):
    """Its file of labels, and by what it passes over gallery items: theirs hold labels, and nothing else."""
    camera = np.arange(len(LABELS)) % 2
    np.save(folder / "camera.npy", camera)
    first = ("evaluate", folder / "b0.npy", folder / "labels.npy", "--ignore", folder / "camera.npy", "--k", "1")
    done = call(*first, "--also", folder / "a1.npz", "--compare", folder / "a0.npz", "--json")
    assert done.code == 0, done.error
    ours, theirs = [rows(1.5, 10, dim=3), rows(0.3, 1)], rows(0.3, 0)
    assert done.out == f"{relbench.compare(ours, theirs, LABELS, ks=(1,), ignore=camera).json()}\n"


@pytest.mark.parametrize("task", ["few-shot", "classification"])
def test_other_tasks(call, folder, task):
    for name, blur in (("a", 0.2), ("b", 3.0)):
        logits = np.eye(CLASSES)[LABELS] + blur * np.random.default_rng(1).normal(size=(len(LABELS), CLASSES))
        np.savez(folder / f"{name}.npz", embeddings=logits, logits=logits, labels=LABELS)
    few = ("--queries", "4", "--episodes", "20") if task == "few-shot" else ()
    done = call("evaluate", folder / "a.npz", "--compare", folder / "b.npz", "--task", task, *few)
    where = {"few-shot": "new episodes of these classes and images", "classification": "new classes of this kind"}
    assert f"A is better than B on {where[task]}: " in done.out


def test_what_cannot_be_compared_is_refused_in_one_line(call, folder):
    np.savez(folder / "other.npz", embeddings=rows(1, 0), labels=LABELS[::-1])
    np.savez(folder / "fewer.npz", embeddings=rows(1, 0)[1:], labels=LABELS[1:])
    first = ("evaluate", folder / "a0.npz")
    for given, message in {
        ("--also", folder / "a1.npz"): "--also says something of a comparison: name what to compare with by --compare",
        ("--compare", folder / "none.npz"): "none.npz can't be read: No such file",
        ("--compare", folder / "other.npz"): "the label of row 0 is '14', but '0' there",
        ("--compare", folder / "fewer.npz"): "holds 89 images,",
        ("--compare", folder / "b0.npy", "--compare", folder / "b1.npy"): "1 training run(s) against 2 don't pair up",
        ("--compare", folder / "b0.npy", "--gallery", folder / "b0.npy"): "--gallery and --compare don't go together",
        ("--compare", folder / "b0.npy", "--k", "99"): "K = 99",
    }.items():
        done = call(*first, *given)
        assert (done.code, done.out) == (2, "")
        assert message in done.error
        assert done.error.count("\n") == 1
    few = call(*first, "--compare", folder / "b0.npy", "--task", "few-shot", "--scorer", "all")
    assert "--compare takes one --scorer and one --shot" in few.error
