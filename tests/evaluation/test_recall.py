"""The metric that loops fill batch by batch has the numbers of `retrieval_metrics`, in Lightning and among ranks."""

import copy
import warnings

import numpy as np
import pytest
import torch
from recalled import IMAGES, among, images
from torch import nn
from torch.utils.data import DataLoader

from relbench.evaluation import retrieval_metrics
from relbench.evaluation.recall import Recall
from relbench.ranks import launched

ROWS, LABELS, INDICES = images().tensors
WANTED = retrieval_metrics(ROWS, LABELS, (1, 3))


def filled(metric, size=7, **others):
    for at in range(0, IMAGES, size):
        part = slice(at, at + size)
        metric(ROWS[part], LABELS[part], **{name: values[part] for name, values in others.items()})
    return metric


@pytest.mark.parametrize("size", [1, 7, IMAGES])
def test_batches_of_any_size_make_the_metrics_of_all(size):
    metric = filled(Recall(ks=(1, 3)), size)
    assert metric.compute() == metric.compute() == WANTED
    metric.reset()
    with pytest.raises(ValueError, match="nothing to compute: update"):
        metric.compute()


def test_masks_and_types_are_kept():
    query, gallery = INDICES % 2 == 0, INDICES % 3 > 0
    of_rows = {"query": query, "gallery": gallery, "ignore": INDICES % 4}
    found = filled(Recall(ks=(1,)), **of_rows)
    assert found.compute() == retrieval_metrics(ROWS, LABELS, (1,), **of_rows)
    assert found.measurement().queries == query.sum()
    metric = Recall(ks=(1,))
    metric.update(ROWS.double() + 1e-12 * ROWS.double().square(), LABELS)  # beyond float32
    assert metric.compute() == retrieval_metrics(ROWS.double() + 1e-12 * ROWS.double().square(), LABELS, (1,))
    metric.reset()
    metric.update(ROWS.bfloat16(), LABELS)
    assert metric.compute() == retrieval_metrics(ROWS, LABELS, (1,))  # bfloat16 holds these


def test_it_keeps_a_copy_without_gradient_outside_of_the_state():
    network = nn.Linear(2, 2)
    batch, metric = network(ROWS), Recall(ks=(1,))
    metric.update(batch, LABELS)
    kept = ROWS.numpy().copy()
    other = Recall(ks=(1, 3))
    other.update(kept, LABELS)
    kept.fill(0)
    assert other.compute() == WANTED
    module = nn.ModuleDict({"network": network, "metric": metric})
    assert set(module.state_dict()) == {"network.weight", "network.bias"}
    assert len(list(module.parameters())) == 2
    assert copy.deepcopy(metric).to(torch.float64).compute() == retrieval_metrics(batch, LABELS, (1,))


def test_repeated_images_count_once():
    metric = filled(filled(Recall(ks=(1, 3)), indices=INDICES), 3, indices=INDICES)
    assert metric.compute() == WANTED
    backwards = Recall(ks=(1, 3))
    backwards.update(ROWS.flip(0), LABELS.flip(0), INDICES.flip(0))
    assert backwards.compute() == WANTED


def test_ranks_compute_what_one_process_does():
    """Of 41 images two ranks get 21 each, one of them twice; without indices that one finds itself."""
    with_indices, without, unevenly = launched(among, 2, "cpu")
    assert with_indices == unevenly == [WANTED, WANTED]
    padded = [*range(0, IMAGES, 2), *range(1, IMAGES, 2), 0]
    repeated = retrieval_metrics(ROWS[padded], LABELS[padded], (1, 3))
    assert without == [repeated, repeated]
    assert repeated != WANTED


def test_a_loop_of_lightning():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own, of versions of other libraries
        lightning = pytest.importorskip("pytorch_lightning")

    class Model(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.network = nn.Linear(2, 2)
            self.recall = Recall(ks=(1, 3))

        def training_step(self, batch, _number):
            return self.network(batch[0]).square().mean()

        def validation_step(self, batch, _number):
            rows, labels, indices = batch
            self.recall.update(self.network(rows), labels, indices)

        def on_validation_epoch_end(self):
            self.log_dict(self.recall.compute())
            self.recall.reset()

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    model, loader = Model(), DataLoader(images(), batch_size=8)
    options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = lightning.Trainer(accelerator="cpu", max_epochs=2, enable_model_summary=False, **options)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers")
        warnings.filterwarnings("ignore", message=".*LeafSpec", category=FutureWarning)  # of torch, to Lightning
        trainer.fit(model, loader, loader)
    found = {name: float(trainer.logged_metrics[name]) for name in WANTED}
    with torch.no_grad():
        wanted = retrieval_metrics(model.network(ROWS), LABELS, (1, 3))
    assert found == pytest.approx(wanted)  # Lightning logs in float32


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([(ROWS[0], LABELS)], r"must have the shape \(batch, dim\), not \(2,\)"),
        ([(ROWS, LABELS[:-1])], r"labels have the shape \(40,\), but there are 41 embeddings"),
        ([(ROWS, LABELS, INDICES[1:])], r"indices: \(40,\) values for 41 embeddings"),
        ([(ROWS, LABELS, INDICES / 2)], "indices must be whole numbers, not float32"),
        ([(ROWS, LABELS), (ROWS, LABELS, INDICES)], "some batches have indices, others do not"),
        ([(ROWS, LABELS), (ROWS[:, :1], LABELS)], "embeddings of a batch have 1 dimensions, those before 2"),
        ([(ROWS, LABELS), (ROWS, LABELS.numpy().astype(str))], "labels are integers in some batches and strings in"),
        ([(ROWS, [*"abc", None, *LABELS[4:].tolist()])], "row 3 holds None"),
    ],
)
def test_batches_that_do_not_fit_are_refused(batches, message):
    metric = Recall()
    with pytest.raises(ValueError, match=message):
        [metric.update(*batch) for batch in batches]


def test_an_index_of_two_images_is_refused():
    metric = Recall()
    metric.update(ROWS, LABELS, INDICES)
    metric.update(ROWS[:1], np.array([9]), INDICES[:1])
    with pytest.raises(ValueError, match="index 0 stands for images of two classes, '0' and '9'"):
        metric.compute()


@pytest.mark.parametrize("ks", [(), (1, 1), (1.5,), "1"])
def test_ks_that_no_gallery_has_are_refused_before_a_training(ks):
    with pytest.raises(ValueError, match=r"(?i)ks? = "):
        Recall(ks)


def test_a_batch_may_be_empty():
    metric = Recall(ks=(1, 3))
    for rows, labels in ((ROWS[:0], []), (ROWS, LABELS.numpy().astype(str)), (ROWS[:0], [])):
        metric.update(rows, labels)
    assert metric.compute() == WANTED
