"""The external validator dicom-validator, run on the tables of the standard that highdicom ships.

dicom-validator gets its tables from the text of the standard, which it downloads; nothing is downloaded in a test.
The tables of highdicom are of the same origin (DICOM PS3.3) and say for every module which attributes it has and of
which type, but not under which condition types 1C and 2C apply: those are required in no object here, and the few
that matter for ultrasound have tests of their own. A test in `test_dicom_valid` uses the whole text where it is
installed.
"""

import functools
import warnings

from dicom_validator.validator.dicom_file_validator import DicomFileValidator
from dicom_validator.validator.dicom_info import DicomInfo
from dicom_validator.validator.error_handler import NullValidationResultHandler
from highdicom import _standard_utils as tables
from pydicom import config, datadict
from pydicom.uid import (
    ComprehensiveSRStorage,
    EnhancedUSVolumeStorage,
    SegmentationStorage,
    UltrasoundImageStorage,
    UltrasoundMultiFrameImageStorage,
)

CLASSES = (
    UltrasoundImageStorage,
    UltrasoundMultiFrameImageStorage,
    EnhancedUSVolumeStorage,
    SegmentationStorage,
    ComprehensiveSRStorage,
)


@functools.cache
def the_standard():
    iods = {uid: tables.get_iod_module_map()[tables.get_sop_class_iod_map()[uid]] for uid in CLASSES}
    names = {module["key"] for modules in iods.values() for module in modules}
    modules = {name: _nested(tables.get_module_attribute_map()[name]) for name in names}
    content = modules["sr-document-content"]
    for attribute in content.values():  # which of them an item has depends on its kind of value
        attribute["type"] = "3"
    nested = content["(0040,A730)"]
    item = {**content, **{tag: {**one, "type": "3"} for tag, one in nested["items"].items()}}
    item["(0040,A730)"] = {**nested, "items": item}  # the tree repeats itself
    nested["items"] = item
    described = {
        uid: {
            "title": tables.get_sop_class_iod_map()[uid],
            "modules": {module["key"]: {"ref": module["key"], "use": module["usage"]} for module in modules_of},
            "group_macros": {},
        }
        for uid, modules_of in iods.items()
    }
    return DicomInfo({}, described, modules)


def violations(path, info=None):
    """Return what is wrong with a DICOM file, one line for each attribute."""
    before = config.settings.reading_validation_mode
    try:
        validator = DicomFileValidator(info or the_standard(), error_handler=NullValidationResultHandler())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = validator.validate_file(str(path))[str(path)]
    finally:
        config.settings.reading_validation_mode = before  # the validator leaves it changed
    found = [
        f"{module}: {_name(tag)} {error.code.name}"
        for module, errors in result.module_errors.items()
        for tag, error in errors.items()
    ]
    return sorted(found) if result.module_errors or result.errors == 0 else [result.status.name]


def _nested(attributes):
    """Return a flat list of attributes with paths as dicom-validator has them: nested, by tag."""
    root = {}
    for attribute in sorted(attributes, key=lambda one: len(one["path"])):
        level = root
        for keyword in attribute["path"]:
            level = level.setdefault(_tag(keyword), {"name": keyword, "type": "3"}).setdefault("items", {})
        is_macro = attribute["path"] in (["SharedFunctionalGroupsSequence"], ["PerFrameFunctionalGroupsSequence"])
        kind = "3" if is_macro else attribute["type"]  # a macro is in one of the two, or not used
        level[_tag(attribute["keyword"])] = {"name": attribute["keyword"], "type": kind}
    return root


def _tag(keyword):
    tag = datadict.tag_for_keyword(keyword) or 0
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def _name(tag):
    names = [
        datadict.keyword_for_tag(one) or str(one) for one in (*(tag.parents or ()), tag.tag) if isinstance(one, int)
    ]
    return ".".join(names)
