"""Networks, losses and names that the tables of Park et al. (CVPR 2019, arXiv:1904.05068) share.

Losses as in lenscloth/RKD@0a6c3c0 where its examples have them: the triplet loss with margin 0.2 and negatives drawn by
distance; RKD-DA with weights 1 and 2 and no task loss. The examples do not have the rest, so the paper's text says it:
attention transfer (weight 50 beside the triplet loss, blocks 2 to 4), HardDarkRank (alpha and beta 3, weight 1 beside
the triplet loss), FitNet (blocks 2 to 4 and the embedding, then fine-tuning by the triplet loss). FitNet's projections
are not trained, as in that code, where the optimiser is never given them. Nobody says the weights of RKD-D and RKD-A
alone; they are those of RKD-DA, and Adam makes little of the scale of a loss that stands alone.
"""

from typing import Literal

from relbench.experiment import Net, Term
from relbench.studies.study import Stage

DATA_SETS = {"CUB-200-2011": "cub200", "Cars 196": "cars196", "Stanford Online Products": "sop"}  # as printed -> ours
TRUNKS = {"ResNet50": "resnet50", "ResNet18": "resnet18", "GoogLeNet": "googlenet"}

TRIPLET = Term(loss="triplet", options={"margin": 0.2})
DISTANCE = Term(loss="rkd_distance", weight=1.0)
ANGLE = Term(loss="rkd_angle", weight=2.0)
MAPS = ("stage2", "stage3", "stage4")
ATTENTION = Term(loss="attention_transfer", weight=50.0, layers=MAPS)
DARKRANK = Term(loss="hard_darkrank", options={"alpha": 3.0, "beta": 3.0})
FITNET = Term(loss="fitnet", layers=(*MAPS, "embedding"), options={"trained": False})

FITNET_RATE = 1e-5  # of its first stage

Schedule = Literal["teacher", "student"]  # which of the authors' training scripts
STAGES = {  # by method, what is trained with what, under the authors' protocol
    "teacher": (Stage(terms=(TRIPLET,)),),
    "triplet": (Stage(terms=(TRIPLET,)),),
    "fitnet": (Stage(terms=(FITNET,), learning_rate=FITNET_RATE), Stage(terms=(TRIPLET,))),
    "attention": (Stage(terms=(TRIPLET, ATTENTION)),),
    "darkrank": (Stage(terms=(TRIPLET, DARKRANK)),),
    "rkd-d": (Stage(terms=(DISTANCE,)),),
    "rkd-a": (Stage(terms=(ANGLE,)),),
    "rkd-da": (Stage(terms=(DISTANCE, ANGLE)),),
}
# no example trains a student by the triplet loss: the script for teachers does it here
SCHEDULES: dict[str, Schedule] = {
    method: "teacher" if method in {"teacher", "triplet"} else "student" for method in STAGES
}

GOOGLENET = (
    "torchvision's ImageNet weights of GoogLeNet come from another training than the Caffe weights that the authors "
    "used, and take RGB images normalised by mean and standard deviation, not BGR images minus a mean."
)
NOTES = (
    "A teacher is used as it is after its last step; the authors' examples use its best step on test classes.",
    "The authors also count the network before its first step as a candidate for the best on test classes.",
)


def net(trunk: str, dim: int, *, unit_length: bool) -> Net:
    """A network as the paper has it: torchvision's ImageNet weights of that time, and one linear layer."""
    return Net(trunk=trunk, width=None, weights="imagenet", dim=dim, unit_length=unit_length)
