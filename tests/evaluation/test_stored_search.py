"""Queries and gallery in files of their own, what is ignored, and logits: measured as from arrays."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from relbench.evaluation import (
    Files,
    Sharding,
    classification_metrics,
    measured_files,
    measured_logits,
    read_embeddings,
    read_files,
    retrieval_metrics,
)

COUNT, ASKING = 60, 20
ROWS = np.random.default_rng(0).standard_normal((COUNT, 4)).astype(np.float32)
ROWS[30:40] = ROWS[:10]  # ties, and queries that are found again
LABELS = np.array([f"class {row % 7}" for row in range(COUNT)])
CAMERAS = np.random.default_rng(1).integers(0, 3, COUNT)
IS_QUERY = np.arange(COUNT) < ASKING
SHARDED = Sharding(1 << 34, items=17, queries=9)
KS = (1, 5)


@pytest.fixture
def folder(tmp_path):
    """Embeddings, labels and cameras of queries and gallery, each in files of their own, and in one."""
    for name, part in (("q", IS_QUERY), ("g", ~IS_QUERY)):
        np.save(tmp_path / f"{name}.npy", ROWS[part])
        np.save(tmp_path / f"{name}_labels.npy", LABELS[part])
        np.save(tmp_path / f"{name}_cameras.npy", CAMERAS[part])
        np.savez(tmp_path / f"{name}.npz", embeddings=ROWS[part], labels=LABELS[part], camera=CAMERAS[part])
    return tmp_path


def alone(folder, name, ignore):
    return Files(
        folder / f"{name}.npy",
        folder / f"{name}_labels.npy",
        ignore=str(folder / f"{name}_cameras.npy") if ignore else None,
    )


def ways(folder, *, ignore):
    """Where the same embeddings are."""
    both = [alone(folder, name, ignore) for name in "qg"]
    whole = [Files(folder / f"{name}.npz", ignore="camera" if ignore else None) for name in "qg"]
    return [
        Files(query.embeddings, query.labels, ignore=query.ignore, gallery=gallery)
        for query in (both[0], whole[0])
        for gallery in (both[1], whole[1])
    ]


@pytest.mark.parametrize("ignore", [False, True])
@pytest.mark.parametrize("sharding", [None, SHARDED])
def test_queries_search_the_gallery_alone(folder, ignore, sharding):
    masks = {"query": IS_QUERY, "gallery": ~IS_QUERY}
    wanted = retrieval_metrics(ROWS, LABELS, KS, **masks, ignore=CAMERAS if ignore else None)
    for files in ways(folder, ignore=ignore):
        done = []
        found = measured_files(files, KS, lambda part, total, done=done: done.append((part, total)), sharding)
        assert found.metrics == wanted
        assert (found.queries, found.gallery, found.classes) == (ASKING, COUNT - ASKING, 7)
        assert (sum(part for part, _ in done), {total for _, total in done}) == (ASKING, {ASKING})
        if ignore:
            alike = (LABELS[:ASKING, None] == LABELS[ASKING:]) & (CAMERAS[:ASKING, None] == CAMERAS[ASKING:])
            assert found.ignored.items == alike.sum()
        else:
            assert found.ignored is None


def test_what_is_ignored_is_counted_without_the_query_itself(tmp_path):
    np.savez(tmp_path / "b.npz", embeddings=np.arange(6)[:, None], labels=[0, 0, 0, 1, 1, 2], shot=[5, 5, 6, 7, 7, 8])
    found = measured_files(Files(tmp_path / "b.npz", ignore="shot"), (1,))
    assert (found.ignored.items, found.ignored.queries_without_positives) == (2 + 2, 2 + 1)
    assert '"ignored": {"items": 4, "queries_without_positives": 3}' in found.json()


def test_names_of_both_are_kept(folder):
    for name, part in (("q", IS_QUERY), ("g", ~IS_QUERY)):
        np.savez(folder / f"{name}.npz", embeddings=ROWS[part], labels=LABELS[part], names=np.flatnonzero(part))
    assert read_files(Files(folder / "q.npz", gallery=Files(folder / "g.npz"))).names.tolist() == list(range(COUNT))


@pytest.mark.parametrize(
    ("gallery", "what"),
    [
        ({"embeddings": ROWS[:, :3]}, r"have the shapes \(20, 4\) and \(60, 3\)"),
        ({"embeddings": ROWS.astype(np.float16)}, "of queries are float32, but those of the gallery float16"),
        ({"embeddings": ROWS[0]}, r"the shapes? .*\(4,\)"),
        ({"labels": np.arange(COUNT)}, "labels of the queries are texts, but those of the gallery whole numbers"),
        ({"labels": LABELS[1:]}, r"labels have the shape \(59,\), but there are 60 embeddings"),
        ({"labels": np.full(COUNT, "none")}, "no query has another gallery item of its class"),
        ({"query": IS_QUERY}, "says itself which images are queries or gallery"),
        ({"camera": np.full(COUNT, "left")}, "values to ignore of the queries are whole numbers, but those of"),
        ({"camera": CAMERAS[1:]}, r"values to ignore have the shape \(59,\)"),
    ],
)
@pytest.mark.parametrize("sharding", [None, SHARDED])
def test_what_does_not_fit_is_one_line(folder, gallery, what, sharding):
    given = {"embeddings": ROWS, "labels": LABELS, "camera": CAMERAS} | gallery
    np.savez(folder / "g.npz", **given)
    np.save(folder / "g.npy", given["embeddings"])
    files = [Files(folder / "g.npz", ignore="camera")]
    if gallery.keys() == {"embeddings"}:
        np.save(folder / "l.npy", LABELS)
        files.append(Files(folder / "g.npy", folder / "l.npy"))
    for each in files:
        queries = Files(folder / "q.npy", folder / "q_labels.npy", ignore=str(folder / "q_cameras.npy"), gallery=each)
        with pytest.raises(ValueError, match=rf"\A.*g\.np.*: .*{what}.*\Z"):
            measured_files(queries, KS, sharding=sharding)


def test_tensors_of_safetensors(tmp_path):
    rows, labels = torch.randn(12, 3, generator=torch.Generator().manual_seed(0)).bfloat16(), torch.arange(12) % 4
    save_file({"embeddings": rows, "labels": labels, "species": 3 - labels}, tmp_path / "t.safetensors")
    save_file({"other": labels}, tmp_path / "o.safetensors")
    kept = read_embeddings(tmp_path / "t.safetensors")
    np.testing.assert_array_equal(kept.embeddings, rows.float().numpy())
    np.testing.assert_array_equal(kept.labels, labels)
    assert read_embeddings(tmp_path / "t.safetensors", label_column="species").labels.tolist() == (3 - labels).tolist()
    for change, what in (
        (slice(None, -1), "is not a readable .safetensors file"),
        (slice(9, None), "is not a readable"),
    ):
        (tmp_path / "d.safetensors").write_bytes((tmp_path / "t.safetensors").read_bytes()[change])
        with pytest.raises(ValueError, match=rf"\A.*d\.safetensors {what}.*\Z"):
            read_embeddings(tmp_path / "d.safetensors")
    with pytest.raises(ValueError, match=r"o\.safetensors holds no array 'embeddings' \(it holds other\)"):
        read_embeddings(tmp_path / "o.safetensors")


@pytest.mark.parametrize(
    ("ignore", "what"),
    [
        ("camera", "e.npy has no 'camera' beside it: name a file of it, such as camera.npy"),
        ("none.npy", "none.npy can't be read: No such file"),
        ("both.npz", "both.npz holds embeddings, labels: name a file with a single array or column"),
    ],
)
def test_what_is_to_be_ignored_is_found_or_refused(tmp_path, ignore, what):
    np.save(tmp_path / "e.npy", ROWS)
    np.save(tmp_path / "l.npy", LABELS)
    np.savez(tmp_path / "both.npz", embeddings=ROWS, labels=LABELS)
    np.savez(tmp_path / "one.npz", shots=CAMERAS)
    name = str(tmp_path / ignore) if "." in ignore else ignore
    with pytest.raises(ValueError, match=r"\A[^\n]*\Z") as error:
        read_embeddings(tmp_path / "e.npy", tmp_path / "l.npy", ignore=name)
    assert what in str(error.value)
    kept = read_embeddings(tmp_path / "e.npy", tmp_path / "l.npy", ignore=str(tmp_path / "one.npz"))
    np.testing.assert_array_equal(kept.ignore, CAMERAS)
    with pytest.raises(ValueError, match=r"both\.npz holds no array 'camera' \(it holds embeddings, labels\)"):
        read_embeddings(tmp_path / "both.npz", ignore="camera")


def test_logits_are_measured_by_class(tmp_path):
    generator = np.random.default_rng(0)
    numbers = generator.integers(0, 9, 50)
    logits = generator.standard_normal((50, 9)) + 2 * np.eye(9)[numbers]
    np.savez(tmp_path / "x.npz", logits=logits, labels=numbers)
    found = measured_logits(read_files(Files(tmp_path / "x.npz", matrix="logits")))
    assert found.metrics == classification_metrics(logits, numbers)
    for metric in ("accuracy", "top5"):
        assert found.counts[metric].share == pytest.approx(found.metrics[metric], rel=1e-12)
    assert (found.queries, found.gallery) == (50, None)
    by_class = found.by_class()
    assert by_class["accuracy"].mean() == pytest.approx(found.metrics["class_accuracy"], rel=1e-12)
