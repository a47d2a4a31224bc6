# Settings of the compiler in Slicer; nothing here.
