"""Finished runs that are exported: on photos in files, and with a head."""

from tiny_photos import write_photos

from relbench.data import find_data_set
from relbench.data.datasets.added import add
from relbench.experiment import Classification, Data, Experiment, Net, Term, Training
from relbench.resolve import resolve
from relbench.run import run
from relbench.settings import changed
from relbench.trackers import Silent

STEPS = Training(steps=2, batch_size=6, images_per_class=2, validate_every=2)


def add_photos(folder):
    """Photos of all shapes, 18 classes of 4; returns the folder of data sets."""
    table = write_photos(folder / "photos", classes=18, images=4).rename(columns={"name": "path"})
    table.to_csv(folder / "photos" / "table.csv", index=False)
    add("photos", folder / "photos" / "table.csv", folder / "data")
    return folder / "data"


def retrieval_on_photos(data):
    """A network of colours, normalised, that sees crops of 32 pixels."""
    content = find_data_set("photos", data).content(data)
    net = Net(width=2, dim=8, normalization="imagenet")
    shown = Data(name="photos", size=32, content=content)
    return resolve(Experiment(data=shown, net=net, terms=(Term(loss="triplet"),), training=STEPS), "run")


def classification_of_patterns():
    """A network with a head, whose embeddings have no unit length."""
    training = changed(STEPS, {"optimizer": "sgd", "learning_rate": 0.05})
    data = Data(name="patterns", size=28, content="patterns", split="images")
    net = Net(width=2, dim=None, unit_length=False)
    terms = (Term(loss="cross_entropy"),)
    return resolve(Experiment(task=Classification(), data=data, net=net, terms=terms, training=training), "run")


def finished(experiment, runs, data):
    """The folder of a run that was made."""
    run(experiment, runs, data, Silent())
    return runs / experiment.fingerprint
