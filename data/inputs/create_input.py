"""The CREATE benchmark: annotations by video id, and the videos of those ids anywhere in a folder."""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import InputError
from ..media import Failure, MediaItem
from .create_annotations import Annotation, CreateAnnotations
from .files_by_stem import FilesByStem
from .media_folder import MediaFolder, media_kind
from .relative_paths import printable
from .splits import choose_split


class CreateInput:
    """One item for every annotation, in their order.

    An annotation whose video is not in the folder is a failure. A video that no annotation names is left out, so that
    the files of the training, validation and test set can be given one after the other.

    Attributes:
        description: one line for people.
        count: ``None``: it takes reading the annotations.
        skipped: numbers of files by suffix that are neither video nor image.
        thumbnails: how many pictures are left out because they stand for a video.
    """

    def __init__(self, folder: MediaFolder, annotations: CreateAnnotations):
        self._folder = folder
        self._annotations = annotations
        self._files = FilesByStem(folder.media, what="video or image", place=f"the folder {folder.root}")
        self.count: int | None = None
        self.skipped = folder.skipped
        self.thumbnails = len(folder.thumbnails)
        self.description = (
            f"folder {folder.root} with {annotations.description}: {len(folder.media):,} videos or images"
        )

    @property
    def labels(self) -> list[str]:
        """Names of the annotation files, as their failures begin."""
        return [printable(path.name) for path in self._annotations.files]

    def __iter__(self) -> Iterator[MediaItem | Failure]:
        yield from self._folder.failures
        for annotation in self._annotations:
            yield annotation if isinstance(annotation, Failure) else self._item(annotation)

    def _item(self, annotation: Annotation) -> MediaItem | Failure:
        vid, record = annotation.vid, annotation.record
        try:
            path = self._files.find(vid)
        except InputError as error:
            return Failure(id=vid, source=annotation.where, stage="read", error=f"{annotation.where}: {error}")
        kind = media_kind(path)
        assert kind is not None  # the listing holds no other files
        return MediaItem(
            id=vid,
            source=printable(path),
            kind=kind,
            title=record.title,
            tags=record.tags,
            split=choose_split(tags=record.tags, video_id=vid, named=(annotation.named_split,)),
            payload=self._folder.root / path,
            given=annotation.given,
            named=annotation.named_split,
        )
