"""Settings of small runs, taught by a small teacher with a classifier, for tests of what is assembled from them."""

from relbench.experiment import Experiment, Net, Term, Training

TRIPLET = Term(loss="triplet")
TRAINING = Training(batch_size=40, images_per_class=5)
TEACHER = Experiment(net=Net(width=4, dim=16), training=TRAINING, terms=(TRIPLET, Term(loss="probe")), seed=3)
CLASSES = 9


def run_of(*terms, **changes):
    return Experiment(
        **{"net": Net(width=2, dim=8), "training": TRAINING, "terms": terms, "seed": 3, "teacher": TEACHER} | changes
    )
