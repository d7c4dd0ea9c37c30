"""What is to be explained: how near an item is to a target in an encoder's space."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mmstudio.encoders.base import Encoder, Explanation, Positions, Prepared, SeenPicture, Vectors, encode
from mmstudio.errors import AttentionUnavailable, SpaceMismatch
from mmstudio.explain.parts import PIXELS, Parts, parts_of, within
from mmstudio.media import AudioClip, Media, Modality

BATCH = 32


@dataclass(frozen=True)
class Subject:
    """An item and the ``target (dim,)`` to which its cosine is asked for. Of a sound in several windows the first
    counts. What is computed of it is kept. Raises SpaceMismatch.
    """

    encoder: Encoder
    media: Media
    modality: Modality
    target: Vectors

    def __post_init__(self) -> None:
        if self.target.shape != (self.encoder.dim,):
            raise SpaceMismatch("The target lies in another space than this item.")
        if isinstance(self.media, AudioClip) and len(self.media.windows) > 1:
            object.__setattr__(self, "media", AudioClip(self.media.windows[:1], self.media.rate_hz))

    @cached_property
    def explanation(self) -> Explanation:
        return self.encoder.explain(self.media, self.modality)

    def towards(self, target: Vectors) -> Subject:
        """The same item, asked for another target ``(dim,)``. What the model told of it is known."""
        other = replace(self, target=target)
        vars(other)["explanation"] = self.explanation
        return other

    @cached_property
    def parts(self) -> Parts:
        return parts_of(self.media, self._size_read() if self.modality == "image" else None)

    def _size_read(self) -> tuple[int, int]:
        """At what width and height parts of a picture are taken away: as the model reads it, where it reads the whole;
        else at twice as many pixels along the longer side, for more it could not tell from fewer; never at more than
        ``PIXELS``, which is fewer than some models read.
        """
        seen, picture = self.encoder.seen(self.media, "image"), self.media
        assert isinstance(seen, SeenPicture)
        left, top, right, bottom = seen.box
        height, width = seen.pixels.shape[:2]
        if seen.box == (0.0, 0.0, 1.0, 1.0) and max(width, height) <= PIXELS:
            return width, height
        return within(picture, min(PIXELS, round(2 * max(width / (right - left), height / (bottom - top)))))

    @cached_property
    def score(self) -> float:
        """The cosine of the whole item with the target."""
        return float(self.scores([self.media])[0])

    def scores(self, changed: Sequence[Media]) -> NDArray[np.float64]:
        """``(n,)`` cosine of each with the target."""
        rows = [encode(self.encoder, changed[at : at + BATCH], self.modality) for at in range(0, len(changed), BATCH)]
        return np.concatenate(rows).astype(np.float64) @ self.target

    def scores_in_turn(self, batches: Iterable[Callable[[], Sequence[Media]]]) -> Iterator[NDArray[np.float64]]:
        """The scores of one batch after the other; the next is made and prepared while the model reads one."""
        def prepared(make: Callable[[], Sequence[Media]]) -> list[Prepared]:
            return [self.encoder.prepare(media, self.modality) for media in make()]

        with ThreadPoolExecutor(1, "masks") as beside:
            coming: Future[list[Prepared]] | None = None
            for make in batches:
                now, coming = coming, beside.submit(prepared, make)
                if now:
                    yield self._near(now.result())
            if coming:
                yield self._near(coming.result())

    def _near(self, batch: list[Prepared]) -> NDArray[np.float64]:
        return self.encoder.forward(batch).astype(np.float64) @ self.target

    @property
    def positions(self) -> Positions:
        """Of the states between the encoder's layers. Raises AttentionUnavailable where it does not tell them."""
        found = self.explanation
        if found.attention:
            return found.attention[0].positions
        if found.token_positions is None:
            raise AttentionUnavailable("This model does not tell where its positions lie in the item.")
        return found.token_positions
