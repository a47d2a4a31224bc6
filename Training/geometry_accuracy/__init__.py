"""How accurate the measurements are: simulated vessels of known size, measured on every kind of image.

    python -m Training.geometry_accuracy FOLDER [--model NAME_OR_FILE ...] [--vessels N]

Two references are kept apart. *Geometry* is where the scene puts its walls, to a fraction of a pixel. *Speckle-free* is
what the same caliper finds in the image without speckle (the expected grey), which has the pulse length and the log
compression of the scanner in it. What despeckling does is the difference to the second; the first also holds what every
caliper gets wrong on any image of that scanner.
"""
