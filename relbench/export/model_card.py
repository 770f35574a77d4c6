"""The model card of an exported folder: metadata that a hub reads, then what a person needs to know.

Every number comes from the run's row or from the study's own summary, and none is typed here.
"""

import json
import textwrap
from collections.abc import Iterator, Mapping

import torch

import relbench
from relbench.evaluation.metric_names import half_interval_of, metric_name
from relbench.experiment import Experiment, Term
from relbench.export.configuration import Configuration, card_of
from relbench.export.finished import FinishedRun
from relbench.export.study_results import study_results
from relbench.export.ten_lines import ten_lines
from relbench.losses import find_loss
from relbench.models import find_trunk
from relbench.plain_text import many, one_line, percent
from relbench.report.citation import cite_relbench, cite_rkd
from relbench.report.wording import metric_title, stage_steps
from relbench.tasks import find_task

UNKNOWN = "unknown"
PIPELINES = {"classification": "image-classification"}  # a hub's name of a task; of all others, "features"
FEATURES = "image-feature-extraction"
DIGITS = 4  # of a metric in the metadata


def model_card(run: FinishedRun, configuration: Configuration, licence: str, differences: Mapping[str, float]) -> str:
    """The text of README.md.

    Args:
        run: finished.
        configuration: of its network.
        licence: of the weights, by the hub's name.
        differences: by file, how far its answers are from torch's.
    """
    parts = {
        "": [_what(configuration), *_toy(run.experiment)],
        "Results": [*_metrics(configuration), *study_results(run)],
        "Use": [_use(configuration), *_files(differences)],
        "Preprocessing": [_preprocessing(configuration)],
        "Training": [*_training(run.experiment), _initial_weights(run)],
        "Data": [_data(configuration)],
        "Licence": [_licence(configuration, licence)],
        "Which numbers to trust": list(_limits(configuration)),
        "How to cite": [*_citations(configuration)],
    }
    sections = ["\n\n".join([f"## {title}"] * bool(title) + texts) for title, texts in parts.items()]
    return "\n\n".join([f"---\n{metadata(configuration, licence)}---", f"# {_title(configuration)}", *sections]) + "\n"


def metadata(configuration: Configuration, licence: str) -> str:
    """The head of the card in YAML, of which JSON is a part."""
    pipeline, images = PIPELINES.get(configuration.task, FEATURES), configuration.images
    metrics = [
        {"type": name, "name": metric_name(name), "value": round(value, DIGITS)}
        for name, value in configuration.metrics.items()
    ]
    result = {
        "task": {"type": pipeline, "name": configuration.task},
        "dataset": {"type": images.name, "name": one_line(images.title), "split": "test"},
        "metrics": metrics,
    }
    head = {
        "license": licence,
        "library_name": configuration.package,
        "pipeline_tag": pipeline,
        "tags": ["relbench-kd", "knowledge-distillation", "image-embeddings", configuration.task],
        "datasets": [images.name],
        "metrics": list(configuration.metrics),
    }
    index = [{"name": f"{configuration.network} {configuration.fingerprint}", "results": [result]}]
    lines = {name: json.dumps(value) for name, value in head.items()}
    lines["model-index"] = textwrap.indent(json.dumps(index, indent=2), "  ").lstrip()  # as YAML wants later lines
    return "".join(f"{name}: {text}\n" for name, text in lines.items())


def _title(configuration: Configuration) -> str:
    return _safe(f"{configuration.network}, {configuration.task} on {configuration.images.title}")


def _what(configuration: Configuration) -> str:
    seen = configuration.preprocessing
    takes = f"images of {seen.channels} x {seen.size} x {seen.size} pixels"
    length = " of unit length" if configuration.unit_length else ""
    makes = f"embeddings of {configuration.dimensions:,} dimensions{length}"
    head = f", and logits of {len(configuration.classes):,} classes" if configuration.classes else ""
    return (
        f"A network that takes {takes} to {makes}{head}. It is the run `{configuration.fingerprint}` of "
        f"relbench {configuration.package_version}, at step {configuration.selected_step:,}, which names all its "
        "settings; they stand in `config.json`."
    )


def _toy(experiment: Experiment) -> list[str]:
    toy = "**Toy scale: these numbers say only that everything runs.**"
    return [toy] if experiment.scale == "toy" else []


def _metrics(configuration: Configuration) -> list[str]:
    lines = ["| Metric on test images | this run |", "| --- | ---: |"]
    lines += [f"| {metric_title(name)} | {percent(value)} |" for name, value in configuration.metrics.items()]
    halves = any(half_interval_of(name) for name in configuration.metrics)
    interval = " An interval over episodes says nothing of other test classes or another training." if halves else ""
    return ["\n".join(lines), f"Of this network, of one training.{interval}"]


def _use(configuration: Configuration) -> str:
    return f"In plain torch, with numpy and Pillow:\n\n```python\n{ten_lines(configuration)}```"


def _files(differences: Mapping[str, float]) -> list[str]:
    checked = [
        f"- `{name}`: the network as a computation, for any number of images; on real test images its answers differ "
        f"from those of the trained network by {difference:.0e} at most"
        for name, difference in differences.items()
    ]
    weights = "- `model.safetensors`: the weights alone, for `relbench evaluate --model FOLDER` or your own code"
    trust = (
        f"`model.pt2` is torch's own format (torch {torch.__version__}): like all files of it, load it from people "
        "that you trust. `model.safetensors` and `config.json` hold data alone."
    )
    return ["\n".join([*checked, weights]), trust]


def _preprocessing(configuration: Configuration) -> str:
    seen = configuration.preprocessing
    crop = f", centre crop of {seen.size} x {seen.size}" if seen.resize != seen.size else ""
    numbers = [", ".join(f"{number:.4g}" for number in numbers) for numbers in (seen.mean, seen.deviation)]
    inside = (
        f"The network itself subtracts the mean ({numbers[0]}) and divides by the deviation ({numbers[1]})."
        if seen.mean
        else "Nothing is subtracted."
    )
    return (
        f"Convert to {'grey' if seen.channels == 1 else 'RGB'}, resize to {seen.resize} x {seen.resize} whatever the "
        f"aspect (PIL, bilinear){crop}, divide by 255, lay out as (batch, {seen.channels}, {seen.size}, {seen.size}). "
        f"{inside} In relbench's words, images are shown: {seen.views}."
    )


def _training(experiment: Experiment) -> Iterator[str]:
    teacher = experiment.last_teacher
    taught = f", taught by `{teacher.fingerprint}` ({teacher.net.short_name})" if teacher else ", without a teacher"
    yield (
        f"{stage_steps(experiment)} steps on images of {experiment.data.name}, from seed {experiment.seed}{taught}. "
        "Losses:"
    )
    terms = {term.loss: term for stage in experiment.stages for term in stage.terms}
    yield "\n".join(f"- {_safe(term.loss)} (weight {term.weight:g}): {_safe(_source(term))}" for term in terms.values())


def _source(term: Term) -> str:
    return "the user's own, whose text stands in `config.json`" if term.source else find_loss(term.loss).source


def _initial_weights(run: FinishedRun) -> str:
    where, net = run.row.weights, run.experiment.net
    if not where:
        return "All weights began random."
    licence = "" if net.weights_file else find_trunk(net.trunk).licence
    own = f"Their licence is {_safe(licence)}; that" if licence else "Their licence and that"
    return (
        f"The trunk began with pretrained weights: {_safe(where)}. {own} of their training images is not recorded "
        "here: see there."
    )


def _data(configuration: Configuration) -> str:
    images = configuration.images
    facts = {
        "Home page": images.homepage,
        "Licence": images.licence or "not stated: the images were added by a user",
        "Terms": images.terms,
        "Hash of names, labels, split and pixels": images.data_hash,
    }
    lines = [f"- {name}: {_safe(words)}" for name, words in facts.items() if words]
    return "\n".join([f"Trained and tested on {_safe(images.title)} ({images.name}).", "", *lines])


def _licence(configuration: Configuration, licence: str) -> str:
    chosen = "Nobody has chosen one for these weights yet" if licence == UNKNOWN else f"These weights: {_safe(licence)}"
    images = _safe(configuration.images.licence) or UNKNOWN
    return f"{chosen}. The images that they were trained on have their own: {images}."


def _limits(configuration: Configuration) -> Iterator[str]:
    task = find_task(configuration.experiment.task)
    yield (
        "- Metrics are of test images alone, and nothing was chosen on them; the step that counts is "
        f"{'the last' if configuration.experiment.training.selection == 'last' else 'the best on validation images'}."
    )
    yield (
        f"- A verdict above is over new training runs and new {many(task.group)} of this data set. It says nothing of "
        "other data sets, of images that are shown in another way, or of this one file."
    )
    if task.not_covered:
        yield f"- {task.not_covered}"
    yield (
        f"- Only images like those of {configuration.images.name}, preprocessed as above, are known to be embedded as "
        "well as these numbers say. Nothing was measured on bias, robustness or images of people."
    )


def _citations(configuration: Configuration) -> Iterator[str]:
    card = card_of(configuration.images.name)
    cited = [cite_relbench(), cite_rkd(), *([card.citation.strip()] if card else [])]
    blank = "\n\n"
    yield f"```bibtex\n{blank.join(cited)}\n```"
    yield f"And the authors of the losses, under Training. Made by relbench {relbench.__version__}."


def _safe(text: str) -> str:
    """Text from outside, which is no markup: on one line, and with nothing that Markdown would take for its own."""
    return "".join(f"\\{letter}" if letter in "\\`*_[]<>|#" else letter for letter in one_line(text))
