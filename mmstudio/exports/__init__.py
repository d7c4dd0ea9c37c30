"""A selection of a project as files that other programs read. Knows no project: rows in, files out."""

from mmstudio.exports.kinds import FOLDER, KINDS, Kind, export, kind_of
from mmstudio.exports.rows import Exported, Outcome, exported
from mmstudio.exports.target import ExportError

__all__ = ["FOLDER", "KINDS", "ExportError", "Exported", "Kind", "Outcome", "export", "exported", "kind_of"]
