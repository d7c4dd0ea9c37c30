"""What a project keeps on disk: items, samples, vectors, tags."""

from mmstudio.library.store import Item, Sample, Store
from mmstudio.library.table import VectorTable, VectorView
from mmstudio.library.vectors import SpaceKey, VectorCache

__all__ = ["Item", "Sample", "SpaceKey", "Store", "VectorCache", "VectorTable", "VectorView"]
