"""Summaries as a study would give them, with made-up numbers that are the same in each test run."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from relbench.analysis.methods import Method, Pair
from relbench.analysis.summary import Summary
from relbench.counts import Counts
from relbench.evaluation.comparison import Comparison, Interval, VariancePart
from relbench.experiment import Data, Experiment, Net, Term, Training
from relbench.results.records import Entry, Machine, Role, Row
from relbench.settings import changed

RANKS = (1, 2, 4, 8, 16)
CLASSES = 40
QUERIES = 12  # a class
STUDENT_TIME = 4.303  # Student's t, 97.5 %, two degrees of freedom: three seeds
HOSTILE = "50 % <b>_R&D_</b> | {x}^2 ~ $a$ #1 \\ [*]"


@dataclass(frozen=True)
class Sketch:
    """A method before its numbers are drawn."""

    label: str
    role: Role
    recall: float
    net: Net = field(default_factory=lambda: Net(width=8, dim=32))
    terms: tuple[Term, ...] = (Term(loss="triplet", options={"margin": 0.2}),)
    steps: int = 3000
    distilled: bool = True
    first: tuple[Term, ...] = ()  # of a method in two stages: what half of the steps train with


TEACHER = Sketch("teacher", "teacher", 0.474, Net(width=16, dim=128), steps=1000, distilled=False)
TRIPLET = TEACHER.terms[0]
DISTANCE, ANGLE = Term(loss="rkd_distance"), Term(loss="rkd_angle", weight=2.0)
STUDY = (
    TEACHER,
    Sketch("triplet", "student", 0.472, distilled=False),
    Sketch("rkd-d", "student", 0.489, terms=(TRIPLET, DISTANCE)),
    Sketch("rkd-a", "student", 0.501, terms=(TRIPLET, ANGLE)),
    Sketch("rkd-da", "student", 0.523, Net(width=8, dim=32, unit_length=False), (TRIPLET, DISTANCE, ANGLE)),
    Sketch("teacher's recipe, student's budget", "control", 0.580, Net(width=16, dim=128), distilled=False),
)
HOSTILE_SOURCE = (
    '"""</pre><script>document.title = "seized"</script><img src="//x.invalid/y">&lt;"""\n'
    f"# {'a line that is longer than any telephone is wide; ' * 4}\n{'_' * 300} = 1\n"
    'raise RuntimeError("a report executes no loss")\n'
)
OWN = Term(loss="my_loss:MyLoss", source=HOSTILE_SOURCE)
OTHER_TERMS = (
    *("hard_darkrank", "pkt", "similarity_preserving", "correlation_congruence", "attention_transfer"),
    *("neuron_selectivity", "hinton_kd", "refilled_embedding", "refilled_classifier", "pml:MultiSimilarityLoss"),
    "pml:LiftedStructureLoss",
)
MANY = (
    *STUDY[:-1],
    *(
        Sketch(f"triplet + {name}", "student", 0.43 + 0.008 * number, terms=(TRIPLET, Term(loss=name)))
        for number, name in enumerate(OTHER_TERMS)
    ),
    Sketch("triplet + my_loss:MyLoss", "student", 0.51, terms=(TRIPLET, OWN)),
    Sketch("fitnet-2-stages", "student", 0.49, first=(Term(loss="fitnet", weight=3.0),)),
    Sketch("teacher of the student's size", "control", 0.46, distilled=False),
    STUDY[-1],
)
UNBROKEN = "conv4_width8_dim32_triplet_rkd_distance_rkd_angle_steps3000_rate3e-3"
LONG = (TEACHER, Sketch(f"a student whose name tells its whole story: {UNBROKEN}", "student", 0.45))
SIZES = (
    TEACHER,
    *(
        Sketch(f"width {width}, {dim}-d", "student", 0.4 + 0.01 * width + 0.0001 * dim, Net(width=width, dim=dim))
        for width, dim in ((4, 32), (4, 64), (8, 32), (8, 512), (9, 64), (32, 128))
    ),
)
SPECIAL = (TEACHER, Sketch(HOSTILE, "student", 0.49), Sketch("_hidden", "control", 0.45, distilled=False))

SOURCES = {
    "triplet": "arXiv:1706.07567; lenscloth/RKD@0a6c3c0",
    "rkd_angle": "arXiv:1904.05068",
    "my_loss:MyLoss": "not known <b>here</b>",
}


def build(sketches: Sequence[Sketch] = STUDY, seeds: tuple[int, ...] = (0, 1, 2)) -> Summary:
    rows = {sketch.label: tuple(_row(sketch, seed) for seed in seeds) for sketch in sketches}
    teacher_rows = rows[sketches[0].label]
    methods = tuple(_method(sketch, rows[sketch.label], teacher_rows) for sketch in sketches)
    entries = tuple(
        Entry(label=method.label, role=method.role, seed=row.experiment.seed, fingerprint=row.fingerprint)
        for method in methods
        for row in method.rows
    )
    notes = ("Each student is trained with the triplet loss & the terms that its name says.",)
    pairs = tuple(
        Pair(one.label, other, _comparison(one.rows, rows[other]))
        for other in [("triplet" if "triplet" in rows else sketches[-1].label)]
        for one in methods
        if one.role == "student" and one.label != other
    )
    return Summary(
        name="quickstart",
        title="Quick start: students & their teacher on Glyphs",
        notes=notes,
        entries=entries,
        primary="recall@1",
        methods=methods,
        seeds=seeds,
        pairs=pairs,
        sources=SOURCES,
        shown_at="28 px (distortion 1)",
    )


def _experiment(sketch: Sketch, seed: int) -> Experiment:
    """The one that counts; of two stages the second has no teacher, since triplet alone looks at none."""
    one = Experiment(
        data=Data(content="0123456789abcdef"),
        net=sketch.net,
        terms=sketch.terms,
        training=Training(steps=sketch.steps, learning_rate=3e-3 if sketch.distilled else 1e-3),
        seed=seed,
        teacher=_experiment(TEACHER, seed) if sketch.distilled else None,
    )
    if not sketch.first:
        return one
    half = changed(one, {"training": changed(one.training, {"steps": sketch.steps // 2})})
    return changed(half, {"teacher": None, "initialized_from": changed(half, {"terms": sketch.first})})


def _row(sketch: Sketch, seed: int) -> Row:
    experiment = _experiment(sketch, seed)
    steps = experiment.training.steps
    random = np.random.default_rng([seed, *sketch.label.encode()])
    recall = sketch.recall + 0.004 * random.standard_normal()
    metrics = {f"recall@{rank}": 1 - (1 - recall) * 0.78 ** np.log2(rank) for rank in RANKS}
    metrics |= {"r_precision": 0.55 * recall, "map@r": 0.41 * recall}
    history = _history(sketch, steps, recall + 0.05, random)
    return Row(
        fingerprint=_fingerprint(experiment, sketch.label),
        experiment=experiment,
        data_hash="5f0c9d1e77aa4b32",
        parameters=7000 * (sketch.net.width or 1),
        selected_step=steps,
        metrics={name: float(value) for name, value in metrics.items()},
        validation={"recall@1": history[-1]["recall@1"]},
        counts=_counts(recall, random),
        history=history,
        train_seconds=31.4 * steps / 1000,
        evaluate_seconds=1.25,
        peak_memory=512 * 2**20,
        finished="2026-01-02T03:04:05+00:00",
        machine=Machine(
            device="Some Processor @ 2.5 GHz",
            cores=2,
            system="Linux 6.1",
            versions={"torch": "2.6.0", "numpy": "2.1.0"},
            git_commit="0123abcd",
        ),
    )


def _fingerprint(experiment: Experiment, label: str) -> str:
    """The experiment's own, made different where made-up methods share all settings."""
    return f"{experiment.fingerprint[:12]}{sum(label.encode()) % 0xFFFF:04x}"


def _history(sketch: Sketch, steps: int, end: float, random: np.random.Generator) -> tuple[dict[str, float], ...]:
    entries = []
    for step in range(250, steps + 1, 250):
        entry = {
            "step": float(step),
            "recall@1": float(end * (1 - np.exp(-step / 400)) + 0.003 * random.standard_normal()),
        }
        for scale, term in enumerate(sketch.terms, start=1):
            entry[term.loss] = float(0.3**scale * (np.exp(-step / 600) + 0.2) * (1 + 0.03 * random.standard_normal()))
        entries.append(entry)
    return tuple(entries)


def _counts(recall: float, random: np.random.Generator) -> Counts:
    return Counts(
        groups=tuple(f"U+{0x41 + number:04X}" for number in range(CLASSES)),
        trials=(QUERIES,) * CLASSES,
        correct=tuple(int(count) for count in random.binomial(QUERIES, recall, CLASSES)),
    )


def _interval(values: Sequence[float]) -> Interval:
    mean = statistics.fmean(values)
    if len(values) == 1:
        return Interval(mean)
    arm = STUDENT_TIME * statistics.stdev(values) / len(values) ** 0.5
    return Interval(mean, mean - arm, mean + arm)


def _method(sketch: Sketch, rows: tuple[Row, ...], teacher_rows: tuple[Row, ...]) -> Method:
    metrics = {name: _interval([row.metrics[name] for row in rows]) for name in rows[0].metrics}
    comparison = (
        None if sketch.role == "teacher" else _comparison(rows, teacher_rows, 1 if sketch.role == "control" else 3)
    )
    return Method(sketch.label, sketch.role, rows, metrics, comparison)


def _comparison(rows: tuple[Row, ...], teacher_rows: tuple[Row, ...], family: int = 3) -> Comparison:
    pairs = zip(rows, teacher_rows, strict=True)
    differences = [row.metrics["recall@1"] - other.metrics["recall@1"] for row, other in pairs]
    over_seeds = _interval(differences)
    low, high = over_seeds.mean - 0.0151, over_seeds.mean + 0.0149
    verdict = "beats" if low > 0 else "loses" if high < 0 else "not shown to differ"
    p_value = 0.4 if verdict == "not shown to differ" else 0.001
    several = len(rows) > 1
    return Comparison(
        difference=over_seeds.mean,
        interval=Interval(over_seeds.mean, low - 0.002, high + 0.002) if several else Interval(over_seeds.mean),
        over_classes=Interval(over_seeds.mean, low, high),
        over_seeds=over_seeds,
        seeds=len(rows),
        verdict=verdict if several else "no verdict",
        p_value=p_value if several else None,
        p_over_classes=p_value / 3,
        p_over_seeds=p_value / 2 if several else None,
        p_adjusted=(1.5 * p_value if family > 1 else p_value) if several else None,
        parts=(VariancePart(0.005**2, len(rows) - 1), VariancePart(0.003**2, 49)) if several else (),
        freedom=1.8 * (len(rows) - 1) if several else None,
        detectable=0.03 if several else None,
        family=family,
    )
