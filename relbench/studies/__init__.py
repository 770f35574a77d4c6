"""Studies: one file each, one table each, some of them tables of papers."""

import inspect
from collections.abc import Callable, Mapping

from relbench.lookup import lookup
from relbench.studies import (
    glyphs_classification,
    glyphs_few_shot,
    glyphs_label_spaces,
    glyphs_methods,
    glyphs_middle_shot,
    glyphs_table1,
    quickstart,
)
from relbench.studies.refilled import cifar100, cub200, few_shot, incremental, label_spaces, middle_shot
from relbench.studies.repdistiller import zoo_cifar100
from relbench.studies.rkd import fig3, table1, table2, table3, table4, table5, table6
from relbench.studies.sp import cifar10, cinic10, dtd
from relbench.studies.study import Study

STUDIES: dict[str, Callable[..., Study]] = {  # by name, the function that builds it
    "quickstart": quickstart.build,
    "glyphs-methods": glyphs_methods.build,
    "glyphs-classification": glyphs_classification.build,
    "glyphs-label-spaces": glyphs_label_spaces.build,
    "glyphs-few-shot": glyphs_few_shot.build,
    "glyphs-middle-shot": glyphs_middle_shot.build,
    "rkd-table1": table1.build,
    "rkd-table2": table2.build,
    "rkd-table3": table3.build,
    "rkd-table4": table4.build,
    "rkd-table5": table5.build,
    "rkd-table6": table6.build,
    "rkd-fig3": fig3.build,
    "glyphs-table1": glyphs_table1.build,
    "zoo-cifar100": zoo_cifar100.build,
    "sp-cifar10": cifar10.build,
    "sp-dtd": dtd.build,
    "sp-cinic10": cinic10.build,
    "refilled-cifar100": cifar100.build,
    "refilled-label-spaces": label_spaces.build,
    "refilled-middle-shot": middle_shot.build,
    "refilled-few-shot": few_shot.build,
    "refilled-cub200": cub200.build,
    "refilled-incremental": incremental.build,
}


def build_study(name: str, options: Mapping[str, str] | None = None) -> Study:
    """A study by its name.

    Args:
        name: one of `STUDIES`.
        options: what its builder takes, such as protocol and scale.

    Raises:
        ValueError: there is no such study, or it has no such option; one line.
    """
    builder = STUDIES[lookup(name, STUDIES, "study")]
    taken = inspect.signature(builder).parameters
    for option in options or {}:
        if option not in taken:
            others = ", ".join(
                other for other, build in STUDIES.items() if option in inspect.signature(build).parameters
            )
            raise ValueError(
                f"{name} has no --{option}, as it is made in one way only: leave it out ({others} have it)"
            )
    return builder(**(options or {}))
