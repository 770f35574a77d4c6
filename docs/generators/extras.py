"""The table of optional libraries, held against the extras of pyproject.toml."""

import tomllib

from generators.guides import ROOT
from generators.markdown import code, table

BRINGS = {
    "cluster": "runs, and galleries in shards, on a Ray cluster: `--cluster`",
    "fast": "a compiled kernel of the angle loss on the CPU; without it plain torch computes the same, to rounding",
    "hub": "sending an exported folder to the Hugging Face hub: `export --upload`; nothing is sent without being asked",
    "mlflow": "curves of runs in an MLflow file store: `--track mlflow`",
    "onnx": "export to ONNX, and its check against torch on real images",
    "parquet": "embeddings and labels read from Parquet files",
    "tensorboard": "curves of runs in TensorBoard: `--track tensorboard`",
    "timm": "any network of timm as a trunk: `timm:NAME`",
    "wandb": "curves of runs in Weights & Biases, offline: `--track wandb`",
}


def extras() -> str:
    """A table: what it is, what it brings, how it is installed.

    Raises:
        ValueError: the extras are not those of pyproject.toml.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    there = project["optional-dependencies"]
    if differing := set(there) ^ set(BRINGS):
        raise ValueError(f"docs/generators/extras.py and pyproject.toml differ in the extras {sorted(differing)}")
    return table(
        ["extra", "libraries", "what it brings", "how to install it"],
        (
            [
                code(name),
                ", ".join(map(code, there[name])),
                BRINGS[name],
                code(f"pip install '{project['name']}[{name}]'"),
            ]
            for name in sorted(there)
        ),
    )
