"""The networks of Tables 5 and 6 of Relational Knowledge Distillation (Park et al., CVPR 2019, arXiv:1904.05068).

Prototypical networks teach others of their kind. No code of these tables was ever released, and nobody had more of the
paper at hand than readers' notes. By these, a student has the teacher's network, of four convolution layers; its loss
is the prototypical loss, as the teacher's, and a distillation loss of the embeddings of all images of an episode; that
of RKD-DA is half of the sum of RKD-D and RKD-A; attention transfer has weight 10; the test has 1,000 episodes of
Omniglot, 600 of miniImageNet. The rest is the recipe of public code (`table5.py`, `table6.py`), or a guess:

- The weights of RKD and FitNet are not known. Beside a cross-entropy, as the prototypical loss is, the authors advise
  25 to 100, or gradients of equal length (lenscloth/RKD, issue 6). Here they are 50 for RKD-D and FitNet, and 25 for
  each loss of RKD-DA, as the notes divide a plain sum by two. In the first 60 steps of a network of Table 5, on 60-way
  episodes of Glyphs' training characters, gradients are as long as the prototypical loss's at weights of 30 to 150
  (RKD-D), 40 to 260 (RKD-A) and, once its projection has learned a little, 15 to 70 (FitNet); with the weights of
  metric learning, 1 and 2, RKD would hardly be felt. For other guesses: `--set terms.rkd_distance.weight=1`.
- FitNet has a 1x1 projection without a bias, which is trained along, as in Table 4. The authors' own, in metric
  learning, is not trained: `--set terms.fitnet.trained=false`.
- Attention needs places. It compares the last map, of which the embedding is the list of all places. Of an embedding as
  a vector, attention in the authors' code (lenscloth/RKD@0a6c3c0) is the same number for every image, and no loss.
- Teacher and student of a seed begin with the same weights and see the same episodes, as everywhere in relbench. So a
  student without a distillation loss would be its teacher: the teacher is the baseline, too.

Both protocols train each network in 20,000 episodes, with Adam and a rate that is halved every 2,000; `fair` holds the
validation classes out, and chooses each method's rate in 5-way 1-shot episodes of them, after the last step.

    protocol   trained on                rate                                step that counts
    paper      as the public code does   1e-3                                as the public code does
    fair       training classes          the best of four, by method         the last

At scale `toy` either protocol is run with narrow networks, short episodes and four steps, and two rates, to see that
all of it works. Its numbers mean nothing.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from relbench.experiment import Data, FewShot, Net, Normalization, Term, Training
from relbench.lookup import lookup
from relbench.settings import changed
from relbench.studies.published import Published
from relbench.studies.rkd.protocol import PROTOCOLS, RATES, SCALES, TOY_NOTE
from relbench.studies.study import Cell, Claim, RunSpec, Scale, Stage

PROTOTYPICAL = Term(loss="prototypical")
METHODS = {  # as printed -> as in a path, and what is added to the prototypical loss
    "Teacher": ("teacher", ()),
    "RKD-D": ("rkd-d", (Term(loss="rkd_distance", weight=50.0),)),
    "RKD-DA": ("rkd-da", (Term(loss="rkd_distance", weight=25.0), Term(loss="rkd_angle", weight=25.0))),
    "FitNet": ("fitnet", (Term(loss="fitnet", weight=50.0, layers=("embedding",)),)),
    "Attention": ("attention", (Term(loss="attention_transfer", weight=10.0, layers=("stage4",)),)),
}
TUNED_AT = 1  # support images of the network by which a method's learning rate is chosen, where it is

EPOCH = 100  # episodes
EPOCHS = 200
HALVED_EVERY = 20  # epochs
ADAM = Training(
    steps=EPOCHS * EPOCH,
    learning_rate=1e-3,
    decay=0.5,
    decay_at=tuple(epoch / EPOCHS for epoch in range(HALVED_EVERY, EPOCHS, HALVED_EVERY)),
    validate_every=EPOCH,
)

TOY_WAY, TOY_QUERIES, TOY_WIDTH = 3, 2, 4
TOY_TRAINING = {"steps": 4, "validate_every": 2}
TOY_TASK = {"queries": TOY_QUERIES, "episodes": 10, "validation_episodes": 10}

SAME_NOTE = (
    "Teacher and student of a seed are the same network, begin with the same weights and see the same episodes: "
    "without a distillation loss a student would be its teacher, so the teacher is the baseline, too."
)
PAIRED_NOTE = "All networks answer the same test episodes, and are compared episode by episode."
WEIGHTS_NOTE = (
    "Not known of the paper: the weights of RKD, rates and lengths. Here RKD-D has weight 50, each loss of RKD-DA 25, "
    "after the authors' advice beside a cross-entropy; rates and lengths are those of public code of prototypical "
    "networks."
)
FAIR_NOTE = (
    "Protocol fair: 20,000 episodes for every network; for each method a learning rate, chosen with its 1-shot network "
    "on episodes of validation classes, which are not trained on; the last step counts."
)


@dataclass(frozen=True)
class Recipe:
    """How public code trains and tests prototypical networks on a data set.

    Attributes:
        data: as networks see it.
        task: the test, whatever its shot.
        way: classes of a training episode, by the number of support images.
        queries: of each class in a training episode.
        normalization: of the images.
        selection: the step that counts: the last, of a training on the validation classes, too; or the best on these.
    """

    data: Data
    task: FewShot
    way: Mapping[int, int]
    queries: int
    normalization: Normalization | None
    selection: Literal["last", "validation"]


@dataclass(frozen=True)
class FewShotProtocol:
    """Under what conditions a table is made.

    Attributes:
        recipe: of public code.
        name: "paper", that recipe; or "fair", equal conditions.
        scale: "full"; or "toy", whose numbers only show that everything runs.

    Raises:
        ValueError: there is no such protocol or scale.
    """

    recipe: Recipe
    name: str
    scale: Scale

    def __post_init__(self) -> None:
        """Refuse what there is not."""
        lookup(self.name, PROTOCOLS, "protocol")
        lookup(self.scale, SCALES, "scale")

    def run(self, method: str, shot: int) -> RunSpec:
        """The network of a method, as printed, that is trained and tested with so many support images."""
        path, added = METHODS[method]
        fair = self.name == "fair"
        return RunSpec(
            data=changed(self.recipe.data, {"hold_out": fair or self.recipe.selection == "validation"}),
            task=self.task(shot),
            net=self.net(),
            training=self.training(shot),
            stages=(Stage(terms=(PROTOTYPICAL, *added)),),
            teacher=_path("teacher", shot) if added else "",
            role="student" if added else "teacher",
            arm="teacher",  # what `--set` changes of the teacher changes its students, too
            rates=RATES["random"][:: 2 if self.scale == "toy" else 1] if fair else (),
            tuned_with=_path(path, TUNED_AT) if fair else "",
        )

    def task(self, shot: int) -> FewShot:
        """The test."""
        return changed(self.recipe.task, {"shot": shot, **(TOY_TASK if self.scale == "toy" else {})})

    def net(self) -> Net:
        """The network of all, from an image to the list of places of its last map."""
        return Net(
            trunk="conv4-maxpool-uniform",
            width=TOY_WIDTH if self.scale == "toy" else 64,
            dim=None,
            unit_length=False,
            normalization=self.recipe.normalization,
        )

    def training(self, shot: int) -> Training:
        """The training, in episodes with so many support images."""
        toy: dict[str, Any] = TOY_TRAINING if self.scale == "toy" else {}
        way, queries = (TOY_WAY, TOY_QUERIES) if toy else (self.recipe.way[shot], self.recipe.queries)
        images = {"images_per_class": shot + queries, "batch_size": way * (shot + queries)}
        selection = "last" if self.name == "fair" else self.recipe.selection
        return changed(ADAM, {**images, "selection": selection, **toy})

    def notes(self, of_paper: str) -> tuple[str, ...]:
        """What a reader must know of these conditions; `of_paper` is true under the public code's alone."""
        if self.scale == "toy":
            return (TOY_NOTE,)
        return (FAIR_NOTE if self.name == "fair" else of_paper,)


def _path(method: str, shot: int) -> str:
    return f"{method}/{shot}-shot"


def metric(way: int, shot: int) -> str:
    """The accuracy in episodes of so many classes and support images of each."""
    return f"{way}way_{shot}shot"


def cell_of(told: Published) -> Cell:
    """A number, and where it stands: a row for each method, a column for each kind of episode."""
    way, shot, half = int(told.fields["way"]), int(told.fields["shot"]), told.fields["ci95"]
    return Cell(
        part=f"{told.fields['dataset']}, accuracy",
        row=told.fields["method"],
        column=f"{way}-way {shot}-shot",
        metric=metric(way, shot),
        run=_path(METHODS[lookup(told.fields["method"], METHODS, "method of the table")][0], shot),
        published=told.value,
        published_interval=float(Decimal(half) / 100) if half else None,
        source=told.source,
    )


def runs(protocol: FewShotProtocol, told: tuple[Published, ...]) -> Iterator[tuple[str, RunSpec]]:
    """By path: those of the table's methods, teachers first."""
    methods = sorted({line.fields["method"] for line in told}, key=list(METHODS).index)
    for method in methods:
        for shot in protocol.recipe.way:
            yield _path(METHODS[method][0], shot), protocol.run(method, shot)


def beats(better: str, worse: str, episodes: Iterable[tuple[int, int]]) -> Iterator[Claim]:
    """Claims that a method, as printed, is better than another: one for each kind of episode, by classes and shots."""
    families = {True: "students and their teacher", False: "students alone"}
    for way, shot in episodes:
        better_key, worse_key = (f"{_path(METHODS[method][0], shot)}#{metric(way, shot)}" for method in (better, worse))
        yield Claim(
            text=f"{way}-way {shot}-shot: {_named(better)} beats {_named(worse)}",
            better=((better_key, worse_key),),
            family=families["Teacher" in {better, worse}],
        )


def _named(method: str) -> str:
    """As in a sentence."""
    return "the teacher" if method == "Teacher" else method
