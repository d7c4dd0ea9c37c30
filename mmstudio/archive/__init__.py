"""A project as one file: ``.mmproject``, a zip archive that any computer unpacks to the same bytes.

The format is PKWARE's (https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT) with ZIP64, entries stored or
deflated. The first entry is ``mmstudio-project.json`` with ``{"format": 1}``. Progress counts mebibytes.
"""

from mmstudio.archive.copying import copy
from mmstudio.archive.entries import FORMAT, MARKER, SUFFIX, ArchiveError
from mmstudio.archive.packing import pack
from mmstudio.archive.unpacking import unpack

__all__ = ["FORMAT", "MARKER", "SUFFIX", "ArchiveError", "copy", "pack", "unpack"]
