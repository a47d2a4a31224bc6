"""Volumes that hold envelopes: compressed for the method, brought back in their own type and scale."""

import numpy as np
import pytest

from Speckle2SelfLogic.errors import SettingsError, UnsupportedImageError
from Testing.slicer.cines import Inverse
from Testing.slicer.pairs import pixels_of

RANGE_DB = 40


def an_envelope(shape=(2, 40, 50)):
    return (1000 * 10 ** (-np.random.default_rng(0).uniform(0, RANGE_DB / 20, shape))).astype(np.float32)


def inverted(envelope):
    """What inverting the B-mode grey makes of an envelope."""
    grey = 1 + 20 * np.log10(envelope / envelope.max()) / RANGE_DB
    return envelope.max() * 10 ** (-np.clip(grey, 0, 1) * RANGE_DB / 20)


@pytest.fixture
def add_volume(a_scene):
    import slicer

    return slicer.util.addVolumeFromArray


def test_a_linear_envelope_comes_back_linear(a_logic, add_volume):
    envelope = an_envelope()
    result = a_logic.process(add_volume(envelope), method=Inverse(), domain="envelope", dynamicRange=RANGE_DB)
    assert pixels_of(result).dtype == np.float32
    np.testing.assert_allclose(pixels_of(result), inverted(envelope), rtol=1e-3)
    assert result.GetAttribute("Speckle2Self.Domain") == "envelope over 40 dB"


def test_a_log_envelope_in_db_comes_back_in_db(a_logic, add_volume):
    level_db = 20 * np.log10(an_envelope())
    result = a_logic.process(add_volume(level_db), method=Inverse(), domain="log-envelope", dynamicRange=RANGE_DB)
    np.testing.assert_allclose(pixels_of(result), 20 * np.log10(inverted(an_envelope())), atol=0.01)


def test_a_domain_without_its_range_an_unknown_one_and_colour_are_named(a_logic, add_volume):
    volume = add_volume(an_envelope())
    with pytest.raises(SettingsError, match="needs a dynamic range in dB"):
        a_logic.process(volume, method=Inverse(), domain="envelope")
    with pytest.raises(SettingsError, match="not 'iq', which is a signal on beams"):
        a_logic.process(volume, method=Inverse(), domain="iq", dynamicRange=RANGE_DB)
    screen = add_volume(np.zeros((1, 40, 50, 3), np.uint8), np.eye(4), "Screen", "vtkMRMLVectorVolumeNode")
    with pytest.raises(UnsupportedImageError, match="An envelope has no colour"):
        a_logic.process(screen, method=Inverse(), domain="envelope", dynamicRange=RANGE_DB)


def test_the_panel_asks_for_the_range_only_where_it_is_needed(a_panel, add_volume):
    ui, parameters = a_panel.ui, a_panel.panel.parameters
    envelope = an_envelope()
    parameters.inputVolume = add_volume(envelope)
    assert ui.dynamicRangeSlider.isHidden()
    ui.domainComboBox.currentIndex = 1
    assert parameters.domain.value == "envelope"
    assert not ui.dynamicRangeSlider.isHidden()
    ui.dynamicRangeSlider.value = RANGE_DB
    how = a_panel.panel.request().how
    assert (how.domain, how.dynamic_range_db) == ("envelope", RANGE_DB)


def test_a_preview_slice_equals_that_slice_of_the_result(a_logic, add_volume):
    from Speckle2SelfSlicerLib.request import DespeckleRequest, MethodRequest

    envelope = an_envelope()
    envelope[1] /= 30  # a darker slice has no largest value of its own
    volume = add_volume(envelope)
    how = MethodRequest(Inverse(), domain="envelope", dynamic_range_db=RANGE_DB)
    result = a_logic.engine.start(DespeckleRequest(volume, how, slice_axis="z")).finish()
    preview = a_logic.engine.preview()
    for _ in range(2):  # the first is slice by the whole volume, the second by what is known of it
        preview.ask(DespeckleRequest(volume, how, slice_axis="z"), 1)
        while preview.is_busy:
            preview.advance(0.05)
    np.testing.assert_allclose(pixels_of(preview.node)[0], pixels_of(result)[1], rtol=1e-5)
