"""Colours: every widget, plot and icon takes them from here."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from PySide6.QtCore import QByteArray, QObject, QSize, Qt, Signal
from PySide6.QtGui import QColor, QGuiApplication, QIcon, QPainter, QPalette, QPixmap
from PySide6.QtWidgets import QApplication, QWidget

from mmstudio import paths
from mmstudio.colour_maps import colour_map

OKABE_ITO = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")
MODALITY_COLOURS = {"image": "#4C9BE8", "audio": "#E69F00", "text": "#2BB58A", "sample": "#E05C97"}


@dataclass(frozen=True)
class Colours:
    """One theme."""

    dark: bool
    window: str
    base: str
    raised: str
    line: str
    text: str
    faint: str
    accent: str
    accent_text: str
    error: str
    dim: str


DARK = Colours(True, "#1b1d21", "#141619", "#25282e", "#363a42", "#e7e9ed", "#9ba1ac", "#4c9be8", "#08121d",
               "#f2777a", "#5a606b")
LIGHT = Colours(False, "#f4f5f7", "#ffffff", "#ffffff", "#d5d9e0", "#1c2026", "#5f6672", "#1f6fc4", "#ffffff",
                "#b3261e", "#b9bfc9")


class Theme(QObject):
    """The theme in use; ``changed`` when the person or the desktop switches it."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.wish = "system"
        self.colours = DARK

    def apply(self, wish: str) -> None:
        """Use “dark”, “light”, or what the desktop uses."""
        self.wish = wish
        dark = wish == "dark" or (
            wish == "system" and QGuiApplication.styleHints().colorScheme() != Qt.ColorScheme.Light)
        self.colours = DARK if dark else LIGHT
        application = QApplication.instance()
        if isinstance(application, QApplication):
            application.setPalette(_palette(self.colours))
            application.setStyleSheet(_style_sheet(self.colours))
        _pixmap.cache_clear()
        self.changed.emit()

    def follow_desktop(self) -> None:
        """React when the desktop switches between dark and light."""
        QGuiApplication.styleHints().colorSchemeChanged.connect(lambda _: self.apply(self.wish))


THEME = Theme()


def colours() -> Colours:
    return THEME.colours


def category_colours(number: int) -> list[QColor]:
    """Distinct colours: Okabe–Ito up to eight, Glasbey beyond."""
    if number <= len(OKABE_ITO):
        return [QColor(c) for c in OKABE_ITO[:number]]
    table = colour_map("glasbey_light" if THEME.colours.dark else "glasbey_dark").tolist()
    return [QColor(*table[i % len(table)]) for i in range(number)]


def icon(name: str) -> QIcon:
    """The icon of that name in the theme's text colour, greyed where disabled."""
    made = QIcon()
    for mode, colour in ((QIcon.Mode.Normal, colours().text), (QIcon.Mode.Disabled, colours().dim)):
        for side in (16, 24, 48):
            made.addPixmap(_pixmap(name, colour, side), mode)
    return made


@cache
def _pixmap(name: str, colour: str, side: int) -> QPixmap:
    from PySide6.QtSvg import QSvgRenderer

    svg = (paths.resources() / "icons" / f"{name}.svg").read_text(encoding="utf-8").replace("currentColor", colour)
    pixmap = QPixmap(QSize(side, side))
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    QSvgRenderer(QByteArray(svg.encode())).render(painter)
    painter.end()
    return pixmap


def _palette(c: Colours) -> QPalette:
    palette = QPalette()
    role, group = QPalette.ColorRole, QPalette.ColorGroup
    for target, colour in (
        (role.Window, c.window), (role.WindowText, c.text), (role.Base, c.base), (role.AlternateBase, c.raised),
        (role.Text, c.text), (role.Button, c.raised), (role.ButtonText, c.text), (role.ToolTipBase, c.raised),
        (role.ToolTipText, c.text), (role.Highlight, c.accent), (role.HighlightedText, c.accent_text),
        (role.PlaceholderText, c.faint), (role.Link, c.accent), (role.Mid, c.line), (role.Dark, c.line),
        (role.Light, c.raised), (role.Accent, c.accent),
    ):
        palette.setColor(target, QColor(colour))
    for target in (role.WindowText, role.Text, role.ButtonText):
        palette.setColor(group.Disabled, target, QColor(c.dim))
    return palette


def _style_sheet(c: Colours) -> str:
    up, down, check = (f'url("{(paths.resources() / "icons" / f"{name}.svg").as_posix()}")'
                       for name in ("chevron_up", "chevron_down", "check"))
    return f"""
QMainWindow::separator {{ background: {c.window}; width: 6px; height: 6px; }}
QDockWidget {{ titlebar-close-icon: none; }}
QDockWidget::title {{ padding: 6px 8px; background: {c.window}; color: {c.faint}; }}
QToolBar {{ border: 0; padding: 4px; spacing: 4px; background: {c.window}; }}
QToolButton {{ border: 0; border-radius: 5px; padding: 5px; }}
QToolButton:hover {{ background: {c.raised}; }}
QToolButton:checked {{ background: {c.line}; }}
QToolButton[popupMode="2"] {{ padding-right: 16px; }}
QToolButton::menu-indicator {{ image: {down}; width: 8px; height: 8px; subcontrol-origin: padding;
    subcontrol-position: center right; right: 4px; }}
QToolButton:focus, QPushButton:focus {{ outline: 1px solid {c.accent}; }}
QPushButton {{ border: 1px solid {c.line}; border-radius: 5px; padding: 5px 12px; background: {c.raised}; }}
QPushButton:hover {{ border-color: {c.accent}; }}
QPushButton:disabled {{ color: {c.dim}; }}
QPushButton[primary="true"] {{ background: {c.accent}; color: {c.accent_text}; border-color: {c.accent};
    padding: 8px 18px; font-weight: 600; }}
QPushButton[primary="true"]:disabled {{ background: {c.line}; color: {c.faint}; border-color: {c.line}; }}
QLineEdit, QComboBox, QSpinBox, QDoubleSpinBox {{ border: 1px solid {c.line}; border-radius: 5px; padding: 4px 8px;
    background: {c.base}; selection-background-color: {c.accent}; min-height: 20px; }}
QLineEdit:focus, QComboBox:focus, QAbstractSpinBox:focus {{ border-color: {c.accent}; }}
QComboBox {{ padding-right: 20px; }}
QComboBox::drop-down {{ border: 0; width: 20px; }}
QComboBox::down-arrow {{ image: {down}; width: 9px; height: 9px; }}
QSpinBox, QDoubleSpinBox {{ padding-right: 18px; }}
QAbstractSpinBox::up-button, QAbstractSpinBox::down-button {{ border: 0; width: 18px; background: transparent; }}
QAbstractSpinBox::up-arrow {{ image: {up}; width: 8px; height: 8px; }}
QAbstractSpinBox::down-arrow {{ image: {down}; width: 8px; height: 8px; }}
QLineEdit[wrong="true"] {{ border-color: {c.error}; }}
QLabel[wrong="true"] {{ color: {c.error}; }}
QListView, QTreeView, QPlainTextEdit, QTextEdit, QScrollArea {{ border: 0; background: {c.base}; }}
QListView#completions {{ border: 1px solid {c.line}; background: {c.raised}; padding: 4px; }}
QTableView {{ border: 0; background: {c.base}; gridline-color: {c.line}; }}
QHeaderView::section {{ border: 0; border-bottom: 1px solid {c.line}; padding: 4px 8px; background: {c.window};
    color: {c.faint}; }}
QTableCornerButton::section {{ border: 0; background: {c.window}; }}
QCheckBox::indicator, QGroupBox::indicator, QListView::indicator {{
    border: 1px solid {c.faint}; border-radius: 3px; background: {c.base}; width: 13px; height: 13px; }}
QCheckBox::indicator:checked, QGroupBox::indicator:checked, QListView::indicator:checked {{ image: {check}; }}
QRadioButton::indicator {{ border: 1px solid {c.faint}; border-radius: 7px; background: {c.base}; width: 12px;
    height: 12px; }}
QRadioButton::indicator:checked {{ border: 4px solid {c.accent}; width: 6px; height: 6px; }}
QCheckBox::indicator:disabled, QRadioButton::indicator:disabled {{ border-color: {c.dim}; }}
QDialogButtonBox {{ dialogbuttonbox-buttons-have-icons: 0; }}
QTabWidget::pane {{ border: 0; }}
QGroupBox {{ border: 0; margin-top: 22px; }}
QGroupBox::title {{ subcontrol-origin: margin; padding: 2px; }}
QFrame#card {{ background: {c.raised}; border: 1px solid {c.line}; border-radius: 6px; }}
QFrame#banner {{ background: {c.raised}; border-left: 4px solid {c.error}; }}
QFrame#banner[kind="note"] {{ border-left-color: {c.accent}; }}
QLabel[faint="true"] {{ color: {c.faint}; }}
QLabel[heading="true"] {{ font-weight: 600; }}
QProgressBar {{ border: 0; border-radius: 3px; background: {c.line}; max-height: 6px; min-height: 6px; }}
QProgressBar::chunk {{ background: {c.accent}; border-radius: 3px; }}
QStatusBar {{ color: {c.faint}; }}
QStatusBar::item {{ border: 0; }}
QSplitter::handle {{ background: {c.window}; }}
QTabBar {{ qproperty-drawBase: false; }}
QTabBar::tab {{ padding: 6px 12px; color: {c.faint}; background: {c.window}; border: 0; }}
QTabBar::tab:selected {{ color: {c.text}; border-bottom: 2px solid {c.accent}; }}
QToolTip {{ background: {c.raised}; color: {c.text}; border: 1px solid {c.line}; padding: 4px; }}
QScrollBar:vertical {{ width: 10px; background: transparent; }}
QScrollBar:horizontal {{ height: 10px; background: transparent; }}
QScrollBar::handle {{ background: {c.line}; border-radius: 4px; min-height: 24px; min-width: 24px; margin: 1px; }}
QScrollBar::add-line, QScrollBar::sub-line {{ width: 0; height: 0; }}
"""


def restyle(widget: QWidget, name: str, value: object) -> None:
    """Set a property that the style sheet looks at, and draw the widget by it."""
    widget.setProperty(name, value)
    widget.style().unpolish(widget)
    widget.style().polish(widget)
