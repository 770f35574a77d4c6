"""The command `relbench evaluate`: embeddings in files, measured for a task."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from relbench.cli.console import errors, errors_as_one_line, expanded, numbers, out
from relbench.lookup import lookup

if TYPE_CHECKING:
    from relbench.cli.sharding import ShardingOptions
    from relbench.experiment import FewShot

OPTIONS: Mapping[str, Mapping[str, str]] = {
    "retrieval": {"k": "1,2,4,8"},
    "few-shot": {"way": "5", "shot": "1", "queries": "15", "episodes": "1000", "seed": "0", "scorer": "prototypes"},
}
"""Tasks that embeddings can be measured for, each with its options, and what they are where they are left out."""


def _option(task: str, name: str, text: str) -> object:
    return typer.Option(f"--{name}", help=f"Of {task}: {text}; default: {OPTIONS[task][name]}.", show_default=False)


def evaluate(  # noqa: PLR0913 - one argument an option
    embeddings: Annotated[
        Path,
        typer.Argument(
            metavar="EMBEDDINGS",
            callback=expanded,
            help="Folder of a run or its embeddings.npz, or an .npy or .pt file with one row per image.",
        ),
    ],
    labels: Annotated[
        Path | None,
        typer.Argument(
            metavar="LABELS.npy",
            callback=expanded,
            help="One class per image, integers or strings; an .npz holds them.",
        ),
    ] = None,
    *,
    task: Annotated[str, typer.Option(help=f"What is measured: {' or '.join(OPTIONS)}.")] = "retrieval",
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
        typer.Option(
            help="Of retrieval: memory of the process, such as 4GB: the gallery is searched in shards that fit, with "
            "the same numbers; default: in one piece, or in shards within half of the free memory if too large.",
            show_default=False,
        ),
    ] = None,
    devices: Annotated[
        int | None,
        typer.Option(help="Of retrieval: number of GPUs, each of which searches shards.", show_default=False),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            help="Of retrieval: a Ray cluster whose nodes search shards of a file that all of them see: auto, local or "
            "its address; each task within --memory, or 4 GB.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Measure embeddings, of any run, or your own.

    retrieval: Recall@K, R-precision, MAP@R by exact Euclidean neighbours, among all images or the gallery of the file.

    few-shot: accuracy over episodes of a few classes, drawn from all images of the file, and 1.96 standard errors.

    For logits of a classifier there is the function `relbench.evaluation.classification_metrics(logits, labels)`.
    """
    given = {"k": k, "way": way, "shot": shot, "queries": queries, "episodes": episodes, "seed": seed, "scorer": scorer}
    with errors_as_one_line():
        asked = _asked(task, {name: text for name, text in given.items() if text is not None})
        if task == "retrieval":
            from relbench.cli.sharding import ShardingOptions

            _retrieval(embeddings, labels, asked, ShardingOptions(memory, devices, cluster), as_json=as_json)
        else:
            _refuse_shards(task, {"memory": memory, "devices": devices, "cluster": cluster})
            _few_shot(embeddings, labels, asked, as_json=as_json)


def _asked(task: str, given: Mapping[str, str]) -> Mapping[str, str]:
    """The options of a task, all of them.

    Raises:
        ValueError: no such task, none that embeddings can be measured for, or an option of another.
    """
    from relbench.tasks import TASKS

    if lookup(task, TASKS, "task") not in OPTIONS:
        raise ValueError(f"embeddings can't be measured for {task}: choose {' or '.join(OPTIONS)}")
    for name in given:
        if name not in OPTIONS[task]:
            owner = next(each for each in OPTIONS if name in OPTIONS[each])
            raise ValueError(f"--{name} is an option of {owner}, not of {task}: leave it out, or choose --task {owner}")
    return {**OPTIONS[task], **given}


def _refuse_shards(task: str, given: Mapping[str, object]) -> None:
    """Refuse options of shards for a task that has no gallery."""
    for name, value in given.items():
        if value is not None:
            raise ValueError(
                f"--{name} is an option of retrieval, not of {task}: leave it out, or choose --task retrieval"
            )


def _retrieval(
    embeddings: Path, labels: Path | None, asked: Mapping[str, str], options: "ShardingOptions", *, as_json: bool
) -> None:
    from relbench.evaluation import stored_metrics
    from relbench.trackers.bars import shown_if_slow

    with options.chosen() as sharding, shown_if_slow("queries", errors) as advance:
        metrics = stored_metrics(embeddings, labels, numbers(asked["k"], "--k"), advance, sharding)
    if as_json:
        typer.echo(json.dumps(metrics))
        return
    table = Table("metric", "%")
    for name, value in metrics.items():
        table.add_row(name, f"{100 * value:.2f}")
    out.print(table)


def _few_shot(embeddings: Path, labels: Path | None, asked: Mapping[str, str], *, as_json: bool) -> None:
    from relbench.tasks.stored import stored_accuracies
    from relbench.trackers.bars import shown_if_slow

    settings = _few_shot_settings(asked)
    with shown_if_slow("episodes", errors) as advance:
        measured = stored_accuracies(embeddings, labels, settings, advance)
    by_scorer: dict[str, dict[str, float]] = {}
    for each, metrics in zip(settings, measured, strict=True):
        by_scorer.setdefault(each.scorer, {}).update(metrics)
    if as_json:
        typer.echo(json.dumps(by_scorer))
        return
    out.print(_table_of_accuracies(by_scorer))
    out.print(
        f"±: 1.96 standard errors over {settings[0].episodes:,} episodes; other classes or another training may "
        "differ by more"
    )


def _few_shot_settings(asked: Mapping[str, str]) -> "list[FewShot]":
    """For each scorer and number of support images."""
    from relbench.evaluation.episode_scorers import SCORERS
    from relbench.experiment import FewShot
    from relbench.settings import validated

    numbered = {name: _number(asked[name], f"--{name}") for name in ("queries", "episodes")}
    seed = _number(asked["seed"], "--seed")
    named = SCORERS if asked["scorer"] == "all" else asked["scorer"].split(",")
    scorers = [lookup(name, SCORERS, "scorer") for name in named]
    way, shots = numbers(asked["way"], "--way"), numbers(asked["shot"], "--shot")
    _refuse_small({**numbered, "way": min(way), "shot": min(shots)})
    return [
        validated(FewShot, {**numbered, "episode_seed": seed, "way": way, "shot": shot, "scorer": scorer})
        for scorer in scorers
        for shot in shots
    ]


def _refuse_small(given: Mapping[str, int]) -> None:
    """What the settings would refuse, in the words of the command's options."""
    from relbench.experiment import FewShot

    allowed = FewShot.model_json_schema()["properties"]
    for name, value in given.items():
        setting = allowed[name].get("items", allowed[name])
        least = setting.get("minimum", setting.get("exclusiveMinimum", -1) + 1)
        if value < least:
            raise ValueError(f"--{name} {value}: give {least} or more")


def _number(text: str, what: str) -> int:
    found = numbers(text, what)
    if len(found) > 1:
        raise ValueError(f"{what} = {text!r}: give a single number")
    return found[0]


def _table_of_accuracies(by_scorer: Mapping[str, Mapping[str, float]]) -> Table:
    from relbench.evaluation.metric_names import HALF_INTERVAL, metric_name

    table = Table("%", *by_scorer)
    for metric in next(iter(by_scorer.values())):
        if not metric.endswith(HALF_INTERVAL):
            cells = [
                f"{100 * metrics[metric]:.2f} ± {100 * metrics[metric + HALF_INTERVAL]:.2f}"
                for metrics in by_scorer.values()
            ]
            table.add_row(metric_name(metric), *cells)
    return table
