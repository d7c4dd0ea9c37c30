"""What a table or a file beside it says of a content, taken into the item that has it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from mmstudio.library.item import Item
from mmstudio.media import Description


@dataclass
class Said:
    """Tags and columns told of one content, maybe several times: tags add up, of a column the first value counts."""

    tags: set[str] = field(default_factory=set)
    columns: dict[str, str | float] = field(default_factory=dict)

    def hear(self, told: Description) -> None:
        self.tags.update(map(clean, told.tags))
        self.columns = clean_columns(told.columns) | self.columns

    def taken_in(self, item: Item, again: bool = False) -> Item:
        """The item with what was said: a value that differs takes the place of the item's own, but where it is said
        ``again``, the value that was said before stays. The item itself where nothing is new.
        """
        columns = self.columns | item.columns if again else item.columns | self.columns
        if columns == item.columns and self.tags.issubset(item.tags):
            return item
        return replace(item, tags=tuple(sorted({*item.tags, *self.tags})), columns=columns)


def clean(text: str) -> str:
    """Lone surrogates cannot be stored."""
    return text.encode("utf-8", "replace").decode("utf-8")


def clean_columns(columns: dict[str, str | float]) -> dict[str, str | float]:
    return {clean(name): clean(value) if isinstance(value, str) else value for name, value in columns.items()}
