"""Table 7 of a paper that was never written: a small network learns from a large one, which grows out of nothing.

Nothing in it is RKD's: neither networks, losses, schedules nor data. Its one option is how long networks are trained.
"""

from pathlib import Path

from relbench.experiment import Data, Net, Term, Training
from relbench.studies.published import read_numbers
from relbench.studies.study import Cell, Claim, RunSpec, Stage, Study

METRIC = Stage(terms=(Term(loss="pml:MultiSimilarityLoss"),))
LARGE, SMALL, PKT = "large", "small/alone", "small/pkt"
PATHS = {("large", "metric learning"): LARGE, ("small", "metric learning"): SMALL, ("small", "pkt"): PKT}
NETS = {"large": Net(trunk="conv4", width=4, dim=16), "small": Net(trunk="conv4", width=2, dim=8)}
DATA = Data(size=28, train_classes=40, test_classes=12)
STEPS = {"short": 4, "long": 8}


def build(*, patience: str = "short") -> Study:
    """The table, with short or long trainings."""
    training = Training(steps=STEPS[patience], learning_rate=2e-3, validate_every=2)
    runs = {
        LARGE: RunSpec(data=DATA, net=NETS["large"], training=training, stages=(METRIC,), role="teacher"),
        SMALL: RunSpec(data=DATA, net=NETS["small"], training=training, stages=(METRIC,)),
        PKT: RunSpec(
            data=DATA,
            net=NETS["small"],
            training=training,
            stages=(
                Stage(terms=(Term(loss="pkt"),), share=0.5),
                Stage(terms=(*METRIC.terms, Term(loss="pkt")), share=0.5),
            ),
            teacher=LARGE,
            rates=(1e-3, 4e-3),
        ),
    }
    cells = tuple(
        Cell(
            part="Glyphs",
            row=told.fields["student"],
            column=f"{told.fields['loss']}, {told.fields['metric']}",
            run=PATHS.get((told.fields["student"], told.fields["loss"]), ""),
            metric=told.fields["metric"].replace("R@", "recall@"),
            published=told.value,
            source=told.source,
        )
        for told in read_numbers(Path(__file__).with_name("numbers.csv"), "percent")
    )
    return Study(
        name="foreign",
        title="A table of nobody's",
        source="A. Nobody",
        notes=("Nobody wrote it.",),
        variant={"patience": patience},
        runs=runs,
        cells=cells,
        claims=(
            Claim(text="A teacher helps", better=((PKT, SMALL),)),
            Claim(text="The student beats its teacher", better=((PKT, LARGE),)),
        ),
        task_terms=METRIC.terms,
    )
