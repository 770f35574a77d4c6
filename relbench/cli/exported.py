"""The work of `relbench export`."""

from dataclasses import dataclass
from pathlib import Path

from relbench.cli.options import preparing, tell
from relbench.export.computation import check_onnx
from relbench.export.finished import FinishedRun, find_run
from relbench.export.hub_folder import Prepared, export_folder, export_onnx, export_weights, prepared, real_images
from relbench.export.upload import hub_api, upload

FOLDER, ONNX = "hub-folder", "onnx"


@dataclass(frozen=True)
class FolderOptions:
    """What the command was given of a folder for a hub.

    Attributes:
        licence: of the weights, by the hub's name; None: nobody has chosen one.
        onnx: whether an ONNX file is in it; None: if what it needs is installed.
        repository: that it is sent to; None: it is not.
    """

    licence: str | None
    onnx: bool | None
    repository: str | None

    @property
    def given(self) -> list[str]:
        """The options that say something of a folder alone."""
        values = {"--licence": self.licence, "--with-onnx/--without-onnx": self.onnx, "--upload": self.repository}
        return [name for name, value in values.items() if value is not None]

    def with_onnx(self) -> bool:
        """Whether an ONNX file is in it; where nobody has said so, a line tells why it isn't.

        Raises:
            ValueError: it is asked for, but a library for it is missing or too old.
        """
        if self.onnx is False:
            return False
        try:
            check_onnx()
        except ValueError as error:
            if self.onnx:
                raise
            tell(f"no ONNX file: {error}")
            return False
        return True


def exported(run: Path, kind: str, out: Path, data: Path, options: FolderOptions) -> None:
    """Export a run, and say what was written.

    Args:
        run: its folder.
        kind: safetensors, onnx or hub-folder.
        out: what is written.
        data: holds the data sets.
        options: of a folder.

    Raises:
        ValueError: the run can't be exported; one line.
        OSError: something can't be written.
    """
    if kind != FOLDER and options.given:
        raise ValueError(f"{options.given[0]} is an option of --to {FOLDER}, not of {kind}: leave it out")
    api = hub_api(options.repository) if options.repository else None  # refused before any work
    if kind == ONNX:
        check_onnx()
    onnx = kind == FOLDER and options.with_onnx()
    found = find_run(run)
    for name, difference in _written(found, prepared(found, data), kind, out, data, options.licence, onnx=onnx).items():
        where = f"real test images of {found.experiment.data.name}"
        tell(f"{name}: differs from torch by {difference:.1e} at most, on {where}")
    tell(f"written: {out}")
    if options.repository:
        tell(f"uploaded: {upload(api, out, options.repository)}")


def _written(
    found: FinishedRun, ready: Prepared, kind: str, out: Path, data: Path, licence: str | None, *, onnx: bool
) -> dict[str, float]:
    """By file that was checked: the largest difference of an output from torch's."""
    if kind == "safetensors":
        export_weights(ready, out)
        return {}
    images = real_images(found, data, preparing)
    if kind == ONNX:
        return {out.name: export_onnx(ready, images, out)}
    return export_folder(ready, images, out, licence, onnx=onnx)
