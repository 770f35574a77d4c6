"""From one experiment's settings to the run that a machine can make: completed, and checked before any work."""

from typing import Literal

import torch

from relbench.data import resolve_transform, seen_by, seen_in
from relbench.experiment import Data, Experiment, Net, Term
from relbench.lookup import lookup
from relbench.losses import Loss, find_loss, validate_term
from relbench.losses.inputs import required_by
from relbench.models import check_weights, find_trunk, layers_of, planned
from relbench.results.run_folder import has_classifier
from relbench.settings import changed
from relbench.tasks import find_task


def resolve_device(device: str) -> Literal["cpu", "cuda"]:
    """Take the GPU for "auto" where there is one. Runs for a GPU can be planned anywhere.

    Raises:
        ValueError: an unknown device.
    """
    lookup(device, ("auto", "cpu", "cuda"), "device", {"gpu": "cuda", "nvidia": "cuda"})
    return "cuda" if device == "cuda" or (device == "auto" and torch.cuda.is_available()) else "cpu"


def resolve(experiment: Experiment, label: str) -> Experiment:
    """The run with its views and what its losses look at filled in, and without a teacher that none of them looks at.

    Args:
        experiment: as a study says it.
        label: what errors call it.

    Raises:
        ValueError: it can't be; one line with the label.
    """
    try:
        found = _planned(experiment)
        check_experiment(found)
    except ValueError as error:
        raise ValueError(f"{label}: {error}") from None
    return found


def _planned(experiment: Experiment) -> Experiment:
    """With what follows from its data set and losses filled in, and without a teacher that none of them looks at."""
    terms = tuple(_revised(_with_layers(term), experiment.net) for term in experiment.terms)
    first = experiment.initialized_from
    earlier = {"initialized_from": _planned(first)} if first else {}
    idle = not any(_entry(term).needs_teacher for term in terms)
    teacher = None if idle or not experiment.teacher else _planned(experiment.teacher)
    data = changed(experiment.data, {"transform": resolve_transform(experiment.data)})
    return changed(
        experiment, {"data": data, "net": _planned_net(experiment), "terms": terms, "teacher": teacher, **earlier}
    )


def _planned_net(experiment: Experiment) -> Net:
    """With weights of a file tried, when it is first seen: what is planned or finished names them by their hash."""
    net = planned(experiment.net)
    if net.weights_content and not experiment.net.weights_content:
        check_weights(net, size=experiment.data.size)
    return net


def _with_layers(term: Term) -> Term:
    entry = _entry(term)
    if term.layers and not entry.layers:
        raise ValueError(f"the loss {term.loss} compares embeddings, not layers: leave layers out")
    if len(set(term.layers)) != len(term.layers):
        raise ValueError(f"the loss {term.loss} has layers {', '.join(term.layers)}: name each once")
    return changed(term, {"layers": term.layers or entry.layers})


def _revised(term: Term, net: Net) -> Term:
    """With the revision of the loss's code, so that numbers of an earlier, wrong one are not taken for its own."""
    return changed(term, {"revision": 1 if net.unit_length else _entry(term).free_length_revision})


def _entry(term: Term) -> Loss:
    return find_loss(term.loss, term.source)


def check_experiment(experiment: Experiment) -> None:
    """Refuse what the settings alone can't know to be impossible.

    Raises:
        ValueError: an unknown trunk or loss; an option that a loss or trunk doesn't have; an image too small or
            too large for the trunk; TF32 on the CPU; a loss that needs a teacher where there is none, or that compares
            logits with a teacher of other classes; pretrained weights, a teacher or a first stage that have seen the
            test's classes.
    """
    if (experiment.training.precision, experiment.training.device) == ("tf32", "cpu"):
        raise ValueError("precision = tf32 is for a GPU: on the CPU choose 32-true, which is as fast, or bf16-mixed")
    check_net(experiment.net, experiment.data.size)
    check_unseen(experiment, experiment.data)
    if experiment.training.selection == "validation" and not experiment.data.hold_out:
        raise ValueError("selection = validation needs validation images: set data.hold_out to true")
    _check_frozen(experiment)
    _check_parts(experiment)
    for part, needed in experiment.dependencies.items():
        check_experiment(needed)
        check_size(needed, f"the {part}", experiment.data.size)
    for term in experiment.terms:
        _check_term(term, experiment)


def check_net(net: Net, size: int) -> None:
    """Refuse a network that can't be built, or not for images of that size.

    Raises:
        ValueError: an unknown trunk; a width or weights that it doesn't have; an image too small or too large for it.
    """
    trunk = find_trunk(net.trunk)
    if net.width is not None and not trunk.scalable:
        raise ValueError(f"width = {net.width}, but the width of the trunk {net.trunk} is fixed: set it to null")
    if net.weights == "imagenet" and not trunk.weights:
        raise ValueError(f"weights = imagenet, but there are none for the trunk {net.trunk}: choose random")
    if size < trunk.smallest:
        raise ValueError(f"data.size = {size} pixels, but the trunk {net.trunk} needs {trunk.smallest} or more")
    if trunk.largest is not None and size > trunk.largest:
        raise ValueError(f"data.size = {size} pixels, but the trunk {net.trunk} takes {trunk.largest} or fewer")
    if refusal := trunk.refusal(size):
        raise ValueError(f"data.size = {size} pixels, but the trunk {net.trunk} does not take these: {refusal}")


def check_unseen(trained: Experiment, data: Data, what: str = "") -> None:
    """Refuse a network that has seen classes of a test, where these should be new to it.

    Args:
        trained: the run of the network, all of whose teachers and earlier stages are looked at.
        data: that it is tested on.
        what: whose run it is, in the message.

    Raises:
        ValueError: the card of the data set says that its pretrained weights have, or the data set that it was trained
            on; or it was trained on images of all classes.
    """
    check_weights_unseen(trained.net, data, what)
    if trained.data.name in seen_in(data.name):
        raise ValueError(
            f"{what}data.name = {trained.data.name}, whose training images have some of the test classes of "
            f"{data.name}, which must be new to a network: train it on another data set"
        )
    if (trained.data.name, trained.data.split, data.split) == (data.name, "images", "classes"):
        raise ValueError(
            f"{what}data.split = images, but then it is trained on the test classes of {data.name}, which must be new "
            "to a network: set it to classes"
        )
    for part, needed in trained.dependencies.items():
        check_unseen(needed, data, f"the {part}'s ")


def check_weights_unseen(net: Net, data: Data, what: str = "") -> None:
    """The same of a network alone."""
    if net.weights in seen_by(data.name):
        raise ValueError(
            f"{what}net.weights = {net.weights}, but these weights were trained on the test classes of {data.name}, "
            "which must be new to a network: set it to random"
        )


def check_size(trained: Experiment, what: str, size: int) -> None:
    """Refuse images of a size that a trained network does not take.

    Args:
        trained: the run that trained it.
        what: its name in the message.
        size: side of the images in pixels.

    Raises:
        ValueError: its trunk takes images of the size that it was trained on alone, and this is another.
    """
    if size != trained.data.size and not find_trunk(trained.net.trunk).any_size:
        raise ValueError(
            f"{what}, {trained.net.trunk} trained on images of {trained.data.size} pixels, takes no images of {size}: "
            "make data.size equal, or choose another trunk"
        )


def _check_frozen(experiment: Experiment) -> None:
    if experiment.training.frozen and not has_classifier(experiment):
        raise ValueError("frozen = true trains the head alone, but no loss takes its logits: add cross_entropy")


def _check_parts(experiment: Experiment) -> None:
    episode, parts = find_task(experiment.task).episode(experiment.training), experiment.training.batch_norm_parts
    if episode and episode.apart and parts > 1:
        raise ValueError(
            f"training.batch_norm_parts = {parts}, but task.batch_norm = apart divides a batch already: leave one of "
            "them out"
        )


def _check_term(term: Term, experiment: Experiment) -> None:
    validate_term(term.loss, term.options, term.source)
    entry, teacher = _entry(term), experiment.teacher
    if entry.needs_teacher and not teacher:
        raise ValueError(f"the loss {term.loss} compares with a teacher, but there is none: give the run a teacher")
    needed = required_by(set(entry.takes) - set(entry.optional))
    if "episodes" in needed and not find_task(experiment.task).episode(experiment.training):
        raise ValueError(
            f"the loss {term.loss} compares queries with support images, but batches of {experiment.task.kind} are no "
            "episodes: it is for few-shot"
        )
    if teacher and "teacher_classifier" in needed and not has_classifier(teacher):
        raise ValueError(
            f"the loss {term.loss} compares with the output of the teacher's classifier, but the teacher has none: "
            "add the loss probe (which leaves the embeddings unchanged) or cross_entropy to the teacher's terms"
        )
    if teacher and "teacher_logits" in set(entry.takes) - set(entry.optional):
        _check_label_spaces(term, experiment, teacher)
    for net in (experiment.net, *([teacher.net] if teacher else [])):
        for layer in term.layers:
            lookup(layer, layers_of(net), f"layer of {net.trunk} for the loss {term.loss}")


def _check_label_spaces(term: Term, experiment: Experiment, teacher: Experiment) -> None:
    """Refuse other classes on the teacher's side: equal numbers of logits would be compared, and mean nothing."""
    own, its = experiment.data.label_space, teacher.data.label_space
    differing = next((name for name in own if own[name] != its[name]), None)
    if differing:
        raise ValueError(
            f"the loss {term.loss} compares logits class by class, but the teacher was trained on other classes (its "
            f"data.{differing} differs): train both on the same, or choose a loss of embeddings or maps, or "
            "refilled_classifier"
        )
