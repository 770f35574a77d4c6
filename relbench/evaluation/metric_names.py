"""Metrics as readers of a report know them."""

import re
from collections.abc import Mapping

HALF_INTERVAL = "_ci95"
"""Ends the name of half of a metric's 95 % interval over groups of trials, for one network: 1.96 standard errors."""

EPISODES = re.compile(rf"(\d+)way_(\d+)shot({HALF_INTERVAL})?")
"""The accuracy in episodes of so many classes and support images of each; half of its interval over episodes."""

NAMES: Mapping[str, str] = {
    "r_precision": "R-precision",
    "map@r": "MAP@R",
    "top5": "Top-5 accuracy",
    "class_accuracy": "Mean class accuracy",
    "ncm_accuracy": "NCM accuracy",
}
"""Of metrics whose names are more than their own word with a capital."""

MEANINGS: Mapping[str, str] = {
    "class_accuracy": "the mean of the accuracies of the classes",
    "likelihood": (
        "the geometric mean of the right class's probability, which is exp(\N{MINUS SIGN}NLL), where NLL is the mean "
        "negative log-likelihood in nats"
    ),
    "calibration_error": "the expected calibration error over 15 bins of equal width; the lower, the better",
    "ncm_accuracy": "accuracy by the nearest class mean of the training images' embeddings, without the head",
}
"""Of metrics that not every reader knows. All metrics are better if larger, but where this says otherwise."""

MEANING_OF_HALF_INTERVAL = (
    "half of the interval of a single network, 1.96 standard errors over its episodes, mean over seeds; the smaller, "
    "the surer"
)


def metric_name(metric: str) -> str:
    """The name for readers: recall@1 is Recall@1, and worst_class is Worst class."""
    episodes = EPISODES.fullmatch(metric)
    if episodes:
        way, shot, interval = episodes.groups()
        return f"{way}-way {shot}-shot {'± 95 % over episodes' if interval else 'accuracy'}"
    return NAMES.get(metric, f"{metric[:1].upper()}{metric[1:]}".replace("_", " "))


def short_name(metric: str) -> str:
    """The name in a narrow column: recall@1 is R@1."""
    return metric_name(metric).replace("Recall@", "R@").replace("R-precision", "R-prec.")


def half_interval_of(metric: str) -> str | None:
    """The metric that this one is half of an interval of; None for all others, which are results themselves."""
    return metric.removesuffix(HALF_INTERVAL) if metric.endswith(HALF_INTERVAL) else None


def in_sentence(metric: str) -> str:
    """The same within a sentence, where a common word has no capital: accuracy, but Recall@1 and R-precision."""
    name = metric_name(metric)
    return name if "@" in name or name[1] == "-" or name[:2].isupper() else f"{name[0].lower()}{name[1:]}"
