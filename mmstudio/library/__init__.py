"""What a project keeps on disk: items, samples, vectors, tags."""

from mmstudio.library.folder import ProjectFolder
from mmstudio.library.item import Fresh, Item, Sample
from mmstudio.library.items import Items, KnownContents
from mmstudio.library.store import Added, Store
from mmstudio.library.table import VectorTable, VectorView
from mmstudio.library.vectors import SpaceKey, VectorCache

__all__ = ["Added", "Fresh", "Item", "Items", "KnownContents", "ProjectFolder", "Sample", "SpaceKey", "Store",
           "VectorCache", "VectorTable", "VectorView"]
