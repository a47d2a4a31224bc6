"""A strict double of the Slicer application, on PySide6 and real MRML, for tests of the panel.

`pythonqt` gives PySide6 the manners of PythonQt, `toolkit` makes the modules `qt` and `ctk`, `ctk_widgets`,
`mrml_widgets` and `application` hold the doubles, `scripted_module` and `parameter_node` stand in for the Python
modules of Slicer that slicer-core lacks, and `session` puts all of it in place for the time of one test.
"""
