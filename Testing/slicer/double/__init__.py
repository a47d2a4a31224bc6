"""A strict double of the Slicer application (PythonQt, ctk, qMRML widgets, application) on PySide6 and real MRML."""
