"""A study small enough to be run in seconds: the quick start with few classes and few steps."""

TINY = {
    "data.train_classes": 40,
    "data.test_classes": 12,
    "teacher.width": 4,
    "teacher.dim": 16,
    "teacher.steps": 6,
    "teacher.validate_every": 3,
    "student.width": 2,
    "student.dim": 8,
    "student.steps": 9,
    "student.validate_every": 3,
}


def tiny_folder(results):
    """Where results of the tiny study go: it is not the quick start, and never among its results."""
    (folder,) = results.glob("quickstart-????????")
    return folder
