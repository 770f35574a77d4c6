"""The command `relbench evaluate`: embeddings in files, measured for a task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relbench.cli.console import all_expanded, errors, errors_as_one_line, expanded, numbers
from relbench.lookup import lookup

if TYPE_CHECKING:
    from relbench.cli.embedding_files import EmbeddingOptions
    from relbench.cli.sharding import ShardingOptions
    from relbench.evaluation.measured import Measurement
    from relbench.evaluation.stored import Files

OPTIONS: Mapping[str, Mapping[str, str]] = {
    "retrieval": {"k": "1,2,4,8"},
    "classification": {},
    "few-shot": {"way": "5", "shot": "1", "queries": "15", "episodes": "1000", "seed": "0", "scorer": "prototypes"},
}
"""Tasks that embeddings can be measured for, each with its options, and what they are where they are left out."""

OF_RETRIEVAL = ("gallery", "gallery-labels", "ignore", "gallery-ignore", "memory", "devices", "cluster")
"""Other options of retrieval alone."""

OF_MODEL = ("weights", "data", "normalization", "device", "set", "save")
"""Options of a network, which say nothing without one."""


def _option(task: str, name: str, text: str) -> object:
    return typer.Option(f"--{name}", help=f"Of {task}: {text}; default: {OPTIONS[task][name]}.", show_default=False)


def _of_retrieval(name: str, text: str) -> object:
    return typer.Option(f"--{name}", help=f"Of retrieval: {text}", show_default=False)


def _of_model(name: str, text: str) -> object:
    return typer.Option(f"--{name}", help=f"Of --model: {text}", show_default=False)


def evaluate(  # noqa: PLR0913 - one argument an option
    embeddings: Annotated[
        Path | None,
        typer.Argument(
            metavar="EMBEDDINGS",
            callback=expanded,
            help="Folder of a run, or a file with a row per image: .npy, .npz, .pt, .safetensors, .parquet or .csv; "
            "logits for classification. Left out with --model.",
            show_default=False,
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Argument(
            metavar="LABELS",
            callback=expanded,
            help="File of any of these kinds with a class per image, integers or strings, if EMBEDDINGS holds none.",
        ),
    ] = None,
    *,
    model: Annotated[
        str | None,
        _of_model(
            "model",
            "a network that embeds the images of --data: module.py:build (the file is executed; build() returns a "
            "torch.nn.Module from images in [0, 1] to embeddings), a trunk such as timm:resnet50, the folder of a run, "
            "or one that relbench export made.",
        ),
    ] = None,
    weights: Annotated[
        str | None,
        _of_model("weights", "its weights, in a file that is not executed, or imagenet or random for a trunk."),
    ] = None,
    data: Annotated[
        str | None, _of_model("data", "the data set; default: that of the run. `relbench data list` names them.")
    ] = None,
    data_folder: Annotated[
        Path, typer.Option(callback=expanded, help="Of --model: holds all data sets.", envvar="RELBENCH_DATA")
    ] = Path("datasets"),
    split: Annotated[str, typer.Option(help="Of --model: test or validation images.")] = "test",
    normalization: Annotated[
        str | None,
        _of_model("normalization", "of module.py or a trunk: normalise images first, as by imagenet, cifar10 or none."),
    ] = None,
    device: Annotated[str | None, _of_model("device", "auto, cpu or cuda; default: the run's, or cpu.")] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Of --model: a setting of the data, such as data.size=224."),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(callback=expanded, help="Of --model: keep the embeddings in this .npz file, as a run does."),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help=f"What is measured: {', '.join(OPTIONS)}; default: retrieval, or the task of the run.",
            show_default=False,
        ),
    ] = None,
    label_column: Annotated[
        str | None,
        typer.Option(
            "--label-column",
            help="Array or column of the labels in the file that holds them; default: labels, or label in a table.",
            show_default=False,
        ),
    ] = None,
    gallery: Annotated[
        str | None,
        _of_retrieval("gallery", "a file of the gallery: EMBEDDINGS are queries alone, and no query is an item of it."),
    ] = None,
    gallery_labels: Annotated[
        str | None, _of_retrieval("gallery-labels", "file with the labels of the gallery, if its own holds none.")
    ] = None,
    ignore: Annotated[
        str | None,
        _of_retrieval(
            "ignore",
            "array or column of the file(s), or a file of its own, such as the camera: gallery images of the query's "
            "own class with the query's value are passed over, neither right nor wrong.",
        ),
    ] = None,
    gallery_ignore: Annotated[
        str | None, _of_retrieval("gallery-ignore", "the same of the gallery, where --ignore is a file of its own.")
    ] = None,
    k: Annotated[str | None, _option("retrieval", "k", "the Ks of Recall@K, separated by commas")] = None,
    way: Annotated[str | None, _option("few-shot", "way", "classes of an episode, or several with commas")] = None,
    shot: Annotated[
        str | None, _option("few-shot", "shot", "support images of each class, or several numbers with commas")
    ] = None,
    queries: Annotated[str | None, _option("few-shot", "queries", "query images of each class")] = None,
    episodes: Annotated[str | None, _option("few-shot", "episodes", "how many are drawn")] = None,
    seed: Annotated[str | None, _option("few-shot", "seed", "which episodes, of the images in their order")] = None,
    scorer: Annotated[
        str | None,
        _option(
            "few-shot", "scorer", "what classifies queries: prototypes, centred, nearest, logistic, several, or all"
        ),
    ] = None,
    memory: Annotated[
        str | None,
        _of_retrieval(
            "memory",
            "memory of the process, such as 4GB: the gallery is searched in shards that fit, with the same numbers; "
            "default: in one piece, or in shards within half of the free memory if too large.",
        ),
    ] = None,
    devices: Annotated[int | None, _of_retrieval("devices", "number of GPUs, each of which searches shards.")] = None,
    cluster: Annotated[
        str | None,
        _of_retrieval(
            "cluster",
            "a Ray cluster whose nodes search shards of a file that all of them see: auto, local or its address; each "
            "task within --memory, or 4 GB.",
        ),
    ] = None,
    compare: Annotated[
        list[Path] | None,
        typer.Option(
            "--compare",
            metavar="OTHER",
            callback=all_expanded,
            help="Compare with other embeddings of the same images, in any file or run that EMBEDDINGS may be; without "
            "labels, in the same order. Several times for several training runs, in the order of their pairs.",
            show_default=False,
        ),
    ] = None,
    compare_labels: Annotated[
        Path | None,
        typer.Option(
            "--compare-labels",
            callback=expanded,
            help="Of --compare: file with their labels; default: their own, or those of EMBEDDINGS.",
            show_default=False,
        ),
    ] = None,
    also: Annotated[
        list[Path] | None,
        typer.Option(
            "--also",
            metavar="MORE",
            callback=all_expanded,
            help="Of --compare: embeddings by another training run of the method of EMBEDDINGS; several times for "
            "several. Two training runs a side, or more, have a verdict on the methods.",
            show_default=False,
        ),
    ] = None,
    by_class: Annotated[
        bool, typer.Option("--by-class", help="Print a line per class, too, the worst at the first metric first.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Measure embeddings, of any run, or your own; or a network that is trained already, with --model.

    retrieval: Recall@K, R-precision, MAP@R by exact Euclidean neighbours, among all images or the gallery of the file.

    classification: accuracy, top-5, class accuracy, likelihood, calibration error of logits with a column per class.

    few-shot: accuracy over episodes of a few classes, drawn from all images of the file, and 1.96 standard errors.

    --compare: the difference from OTHER, and whether it is beyond chance in the first metric: Recall@K of the first K.

    Arrays of a file are named embeddings (or logits) and labels, and perhaps query and gallery (masks) and names.

    Columns of a table are label, perhaps query, gallery and name, and either embedding, of lists (.parquet), or
    numbered ones of a single name, from 0 or 1 without a gap, such as e0, e1, e2; other columns are left aside.

    Nothing in a file is executed, but for the Python file that --model names.
    """
    given = {"k": k, "way": way, "shot": shot, "queries": queries, "episodes": episodes, "seed": seed, "scorer": scorer}
    of_retrieval = dict(
        zip(OF_RETRIEVAL, (gallery, gallery_labels, ignore, gallery_ignore, memory, devices, cluster), strict=True)
    )
    of_model: dict[str, Any] = dict(zip(OF_MODEL, (weights, data, normalization, device, changes, save), strict=True))
    with errors_as_one_line():
        named = {name: text for name, text in given.items() if text is not None}
        if model is not None:
            _refuse_files({"EMBEDDINGS": embeddings, "label-column": label_column, **of_retrieval})
            others = (compare or [], compare_labels, also or []) if compare or compare_labels or also else None
            of_model |= {"model": model, "root": data_folder, "split": split, "others": others}
            _of_network(of_model, task, named, by_class=by_class, as_json=as_json)
            return
        if embeddings is None or any(of_model.values()):
            raise _no_model(of_model)
        asked = _asked(task or "retrieval", named)
        if task not in (None, "retrieval"):
            _refuse(task, of_retrieval)
        from relbench.cli.embedding_files import EmbeddingOptions
        from relbench.cli.sharding import ShardingOptions

        files = EmbeddingOptions(embeddings, labels, label_column, gallery, gallery_labels, ignore, gallery_ignore)
        shards = ShardingOptions(memory, devices, cluster)
        request = _Request(task or "retrieval", asked, shards, by_class=by_class, as_json=as_json)
        if compare or compare_labels or also:
            _compare(files, (compare or [], compare_labels, also or []), request)
        else:
            _measure(files, request)


@dataclass(frozen=True)
class _Request:
    """What is asked of embeddings in files.

    Attributes:
        task: its name.
        options: those of the task, all of them.
        shards: how a gallery is searched.
        by_class: print a line per class.
        as_json: print JSON.
    """

    task: str
    options: Mapping[str, str]
    shards: "ShardingOptions"
    by_class: bool
    as_json: bool


def _measure(files: "EmbeddingOptions", request: _Request) -> None:
    shown = {"by_class": request.by_class, "as_json": request.as_json}
    if request.task == "few-shot":
        _few_shot(files.chosen(), request.options, **shown)
    elif request.task == "classification":
        _show(_classification(files.chosen("logits")), **shown)
    else:
        _show(_retrieval(files.chosen(), request.options, request.shards), **shown)


def _compare(
    files: "EmbeddingOptions", others: tuple[Sequence[Path], Path | None, Sequence[Path]], request: _Request
) -> None:
    from relbench.cli.compared import CompareOptions, measuring, show_comparison
    from relbench.evaluation.paired_files import source_of

    chosen = files.chosen("logits" if request.task == "classification" else "embeddings")
    sides = CompareOptions(*others).sides(source_of(chosen), chosen)
    with request.shards.chosen() as sharding:
        measured = measuring(request.task, request.options, sharding)
        show_comparison(sides, measured, by_class=request.by_class, as_json=request.as_json)


def _asked(task: str, given: Mapping[str, str]) -> Mapping[str, str]:
    """The options of a task, all of them.

    Raises:
        ValueError: no such task, none that embeddings can be measured for, or an option of another.
    """
    from relbench.tasks import TASKS

    if lookup(task, TASKS, "task") not in OPTIONS:
        raise ValueError(f"embeddings can't be measured for {task}: choose one of {', '.join(OPTIONS)}")
    for name in given:
        if name not in OPTIONS[task]:
            owner = next(each for each in OPTIONS if name in OPTIONS[each])
            raise ValueError(f"--{name} is an option of {owner}, not of {task}: leave it out, or choose --task {owner}")
    return {**OPTIONS[task], **given}


def _refuse(task: str, given: Mapping[str, object]) -> None:
    """Refuse options of retrieval for a task that has no gallery."""
    for name, value in given.items():
        if value is not None:
            raise ValueError(
                f"--{name} is an option of retrieval, not of {task}: leave it out, or choose --task retrieval"
            )


def _refuse_files(given: Mapping[str, object]) -> None:
    """Refuse what says something of files of embeddings beside a network."""
    for name, value in given.items():
        if value is not None:
            option = name if name.isupper() else f"--{name}"
            raise ValueError(f"{option} is for embeddings in files, not for --model: leave one of them out")


def _no_model(given: Mapping[str, object]) -> ValueError:
    """What is wrong where a network has options but no name, or neither it nor a file is named."""
    name = next((name for name, value in given.items() if value), None)
    if name is None:
        return ValueError("name a file of embeddings, or a network with --model")
    return ValueError(f"--{name} says something of a network: name it with --model, or leave this out")


def _of_network(
    where: dict[str, Any], task: str | None, named: Mapping[str, str], *, by_class: bool, as_json: bool
) -> None:
    from relbench.cli.compared import CompareOptions
    from relbench.cli.models import ModelOptions, TaskOptions, evaluate_model
    from relbench.cli.studies import settings_given

    if task is None and named.keys() - {"k"}:
        raise ValueError(f"--{min(named.keys() - {'k'})} is an option of few-shot: choose --task few-shot, too")
    every = _asked(task or "retrieval", named)
    changes, others = where.pop("set") or [], where.pop("others")
    options = ModelOptions(**where, changes=settings_given(changes))
    compared = CompareOptions(*others) if others else None
    evaluate_model(options, TaskOptions(task, named, every), compared, by_class=by_class, as_json=as_json)


def _show(found: "Measurement", *, by_class: bool, as_json: bool) -> None:
    from relbench.cli.measured import show

    show(found, by_class=by_class, as_json=as_json)


def _retrieval(files: "Files", asked: Mapping[str, str], options: "ShardingOptions") -> "Measurement":
    from relbench.evaluation.stored_search import measured_files
    from relbench.trackers.bars import shown_if_slow

    with options.chosen() as sharding, shown_if_slow("queries", errors) as advance:
        return measured_files(files, numbers(asked["k"], "--k"), advance, sharding)


def _classification(files: "Files") -> "Measurement":
    from relbench.evaluation.stored import naming_files, read_files
    from relbench.evaluation.stored_search import measured_logits

    stored = read_files(files)
    with naming_files(*files.paths):
        return measured_logits(stored)


def _few_shot(files: "Files", asked: Mapping[str, str], *, by_class: bool, as_json: bool) -> None:
    from relbench.cli.evaluate_few_shot import measure_few_shot

    if by_class:
        raise ValueError("--by-class says nothing of few-shot, whose episodes mix classes: leave it out")
    measure_few_shot(files, asked, as_json=as_json)
