"""The command `relbench export`: the network of a finished run for other programs."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from relbench.cli.console import errors_as_one_line, expanded
from relbench.cli.studies import Data

Kind = Literal["safetensors", "onnx", "hub-folder"]
SUFFIX: dict[str, str] = {"safetensors": ".safetensors", "onnx": ".onnx", "hub-folder": ""}


def export(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN", callback=expanded, help="Folder of a finished run: results/STUDY/runs/FINGERPRINT."
        ),
    ],
    to: Annotated[
        Kind,
        typer.Option(
            "--to",
            help="safetensors: the weights; onnx: the network, for images in [0, 1], checked against torch on real "
            "test images; hub-folder: both, torch's own format, a configuration and a model card.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            callback=expanded, help="What is written; nothing is replaced. Default: relbench-FINGERPRINT here."
        ),
    ] = None,
    data: Data = Path("datasets"),
    *,
    onnx: Annotated[
        bool | None,
        typer.Option(
            "--with-onnx/--without-onnx",
            help="Of hub-folder: with an ONNX file; default: where the libraries for it are installed, and torch 2.7 "
            "or newer.",
            show_default=False,
        ),
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option(
            help="Of hub-folder: the licence of the weights, by the hub's name, such as mit.", show_default=False
        ),
    ] = None,
    upload: Annotated[
        str | None,
        typer.Option(
            metavar="OWNER/NAME",
            help="Of hub-folder: send it to this repository of the Hugging Face hub, which is made private "
            "if it is not there; needs a token.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Export the network of a finished run: its weights, an ONNX file, or a folder for a hub.

    Nothing is uploaded, but for --upload.
    """
    with errors_as_one_line("interrupted; nothing was written"):
        from relbench.cli.exported import FolderOptions, exported

        where = out or Path(f"relbench-{run.resolve().name}{SUFFIX[to]}")
        exported(run, to, where, data, FolderOptions(licence, onnx, upload))
