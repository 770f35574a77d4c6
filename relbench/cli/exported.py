"""The work of `relbench export`."""

from pathlib import Path

from relbench.cli.options import preparing, tell
from relbench.export.finished import find_run
from relbench.export.hub_folder import export_folder, export_onnx, export_weights, prepared, real_images


def exported(run: Path, kind: str, out: Path, data: Path, licence: str, *, onnx: bool | None) -> None:
    """Export a run, and say what was written.

    Args:
        run: its folder.
        kind: safetensors, onnx or hub-folder.
        out: what is written.
        data: holds the data sets.
        licence: of the weights, for a folder.
        onnx: whether a folder has an ONNX file; None: if the libraries for it are installed.

    Raises:
        ValueError: the run can't be exported; one line.
        OSError: something can't be written.
    """
    found = find_run(run)
    ready = prepared(found, data)
    if kind == "safetensors":
        export_weights(ready, out)
        differences = {}
    elif kind == "onnx":
        differences = {out.name: export_onnx(ready, real_images(found, data, preparing), out)}
    else:
        differences = export_folder(ready, real_images(found, data, preparing), out, licence, onnx=onnx)
    for name, difference in differences.items():
        where = f"real test images of {found.experiment.data.name}"
        tell(f"{name}: differs from torch by {difference:.1e} at most, on {where}")
    tell(f"written: {out}")
