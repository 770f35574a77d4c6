"""Options of `relbench evaluate` that say where embeddings are, and what belongs to them."""

from dataclasses import dataclass
from pathlib import Path

from relbench.evaluation.stored import Files, is_file_name


@dataclass(frozen=True)
class EmbeddingOptions:
    """What the command was given.

    Attributes:
        embeddings: file of the embeddings, or of those of the queries.
        labels: file of their labels; None: `embeddings` holds them.
        label_column: name of the labels in the files that hold them.
        gallery: file of the gallery's embeddings; None: all are in `embeddings`.
        gallery_labels: file of the gallery's labels.
        ignore: by what queries pass over gallery items: a name or a file.
        gallery_ignore: the same of the gallery, where it is a file.
    """

    embeddings: Path
    labels: Path | None
    label_column: str | None = None
    gallery: str | None = None
    gallery_labels: str | None = None
    ignore: str | None = None
    gallery_ignore: str | None = None

    def chosen(self, matrix: str = "embeddings") -> Files:
        """The files.

        Args:
            matrix: what is in them: "embeddings" or "logits".

        Raises:
            ValueError: options that make no sense together.
        """
        return Files(self.embeddings, self.labels, self.label_column, _expanded(self.ignore), matrix, self._gallery())

    def _gallery(self) -> Files | None:
        if self.gallery is None:
            for name, value in (("labels", self.gallery_labels), ("ignore", self.gallery_ignore)):
                if value is not None:
                    raise ValueError(f"--gallery-{name} says something of a gallery: name its file with --gallery")
            return None
        path = Path(self.gallery).expanduser()
        if path.exists() and self.embeddings.exists() and path.samefile(self.embeddings):
            raise ValueError(
                f"--gallery {self.gallery} is the file of the queries, each of which would find itself: leave it out, "
                "and each is searched among all others"
            )
        labels = None if self.gallery_labels is None else Path(self.gallery_labels).expanduser()
        return Files(path, labels, self.label_column, self._ignored_of_gallery())

    def _ignored_of_gallery(self) -> str | None:
        """A name is that of both; each file has its own."""
        if (self.ignore is not None and is_file_name(self.ignore)) != (self.gallery_ignore is not None):
            raise ValueError(
                "--ignore and --gallery-ignore are two files, of the queries and of the gallery: give both, or "
                "--ignore alone with the name of an array or column of both"
            )
        return _expanded(self.gallery_ignore or self.ignore)


def _expanded(name: str | None) -> str | None:
    """A name, or a path in which ~ is the home folder."""
    return str(Path(name).expanduser()) if name is not None and is_file_name(name) else name
