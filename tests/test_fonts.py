"""Texts of pictures: no missing character, no warning, whatever fonts are installed."""

import pytest
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont

from relbench import fonts
from relbench.fonts import make_readable

CAT = "\u732b\u54aa"
BOLD_FRAKTUR = "\U0001d573"  # DejaVu Sans has it in no face, the STIX fonts that matplotlib ships do


@pytest.fixture
def installed(monkeypatch):
    """Put other fonts in place of this machine's."""

    def use(**families):
        monkeypatch.setattr(fonts, "_installed", lambda: families)
        fonts._families.cache_clear()

    yield use
    fonts._families.cache_clear()


def stix():
    return findfont("STIXGeneral")


def shown(*texts, labels=()):
    """A figure with these texts is drawn (a warning is an error here); as they and the tick labels are then."""
    figure = Figure()
    axes = figure.subfigures(1, 2)[0].add_subplot()
    placed = [axes.text(0, 0, text, parse_math=False) for text in texts]
    if labels:
        axes.set_yticks(range(len(labels)), labels)
    make_readable(figure)
    figure.draw_without_rendering()
    figure.canvas.draw()
    return [text.get_text() for text in placed], [label.get_text() for label in axes.get_yticklabels()]


def test_numbers_stand_where_no_font_has_a_character(installed):
    installed()
    texts, labels = shown(f"{CAT} (3)", "cat", f"two\n{CAT[0]}", labels=[CAT, "dog"])
    assert texts == ["[U+732B U+54AA] (3)", "cat", "two\n[U+732B]"]
    assert labels == ["[U+732B U+54AA]", "dog"]


def test_every_kind_of_text_is_looked_at(installed):
    installed()
    figure = Figure()
    axes = figure.add_subplot()
    axes.plot([0, 1], label=CAT)
    axes.annotate(CAT, (0, 0))
    texts = [figure.suptitle(CAT), figure.text(0, 0, CAT), axes.set_title(CAT), axes.set_title(CAT, loc="left")]
    texts += [axes.set_xlabel(CAT), axes.set_ylabel(CAT), *axes.legend(title=CAT).get_texts(), *axes.texts]
    texts += [axes.get_legend().get_title()]
    make_readable(figure)
    assert [text.get_text() for text in texts] == ["[U+732B U+54AA]"] * 9


def test_a_font_that_has_the_character_is_used(installed):
    installed(STIXGeneral=stix())
    figure = Figure()
    text = figure.text(0, 0, f"{BOLD_FRAKTUR} {CAT}")
    before = figure.text(0, 0, "cat").get_fontfamily()
    make_readable(figure)
    assert text.get_text() == f"{BOLD_FRAKTUR} [U+732B U+54AA]"
    assert text.get_fontfamily() == [*before, "STIXGeneral"]


def test_what_the_own_font_has_stays_as_it_is(installed):
    installed(STIXGeneral=stix())
    texts, _ = shown("caf\u00e9 \u2212 \u03b1 $5 \\alpha")
    assert texts == ["caf\u00e9 \u2212 \u03b1 $5 \\alpha"]


def test_long_runs_and_joiners(installed):
    installed()
    private = "".join(chr(0xF0001 + number) for number in range(6))
    texts, _ = shown(f"x{private}y", "\U000e0100", "a\U000e0100b")
    assert texts == ["x[U+F0001 U+F0002 U+F0003 U+F0004 ...]y", "", "ab"]


def test_every_installed_font_can_be_asked():
    """On this machine, whatever it has; the font that draws boxes for everything is none."""
    assert not [name for name in fonts._installed() if name.startswith("Last Resort")]
    shown(CAT, "\uac00", "\u0e44", "\U00013000", "\U0001f469\u200d\U0001f467", labels=[CAT])
