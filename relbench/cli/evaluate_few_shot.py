"""`relbench evaluate --task few-shot`: accuracies in episodes of a few classes."""

import json
from collections.abc import Mapping

import typer
from rich.table import Table

from relbench.cli.console import errors, numbers, out
from relbench.evaluation.episode_scorers import SCORERS
from relbench.evaluation.metric_names import HALF_INTERVAL, metric_name
from relbench.evaluation.stored import Files
from relbench.experiment import FewShot
from relbench.lookup import lookup
from relbench.settings import validated
from relbench.tasks.stored import stored_accuracies
from relbench.trackers.bars import shown_if_slow


def measure_few_shot(files: Files, asked: Mapping[str, str], *, as_json: bool) -> None:
    """Measure embeddings in episodes, and print their accuracies.

    Args:
        files: of the embeddings.
        asked: all options of the task, by name.
        as_json: print a JSON object of each scorer's metrics.

    Raises:
        ValueError: options that make no sense, or embeddings that can't be measured so.
    """
    settings = few_shot_settings(asked)
    with shown_if_slow("episodes", errors) as advance:
        measured = stored_accuracies(files, settings, advance)
    by_scorer: dict[str, dict[str, float]] = {}
    for each, metrics in zip(settings, measured, strict=True):
        by_scorer.setdefault(each.scorer, {}).update(metrics)
    show_accuracies(by_scorer, settings[0].episodes, as_json=as_json)


def show_accuracies(by_scorer: Mapping[str, Mapping[str, float]], episodes: int, *, as_json: bool) -> None:
    """Print accuracies in episodes.

    Args:
        by_scorer: metrics of each scorer.
        episodes: how many there were.
        as_json: print a JSON object of each scorer's metrics.
    """
    if as_json:
        typer.echo(json.dumps(by_scorer))
        return
    out.print(_table_of_accuracies(by_scorer))
    out.print(
        f"±: 1.96 standard errors over {episodes:,} episodes; other classes or another training may differ by more"
    )


def few_shot_settings(asked: Mapping[str, str]) -> list[FewShot]:
    """Settings for each scorer and number of support images.

    Args:
        asked: all options of the task, by name.

    Raises:
        ValueError: options that make no sense.
    """
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
    table = Table("%", *by_scorer)
    for metric in next(iter(by_scorer.values())):
        if not metric.endswith(HALF_INTERVAL):
            cells = [
                f"{100 * metrics[metric]:.2f} ± {100 * metrics[metric + HALF_INTERVAL]:.2f}"
                for metrics in by_scorer.values()
            ]
            table.add_row(metric_name(metric), *cells)
    return table
