"""The tie between the parameters of a scene and the widgets that show them."""

from slicer.parameterNodeWrapper import SlicerParameterNamePropertyName

from Speckle2SelfSlicerLib.parameters import Speckle2SelfParameters


class WidgetBinding:
    """Widgets follow the parameters that their property names, and the other way round, until `end`.

    Does what `connectGui` does, and leaves nothing behind. Slicer 5.8 gives no tag to disconnect by, so the widgets
    would go on to write into the parameters of a scene that was closed. It also leaves an observer on the node: if
    nothing in Python holds the node for a moment, as in a reload, the garbage collector empties that observer, and
    Slicer crashes at the next change of a parameter.

    Parameters
    ----------
    parameters
        The parameters.
    ui
        The widgets, as `slicer.util.childWidgetVariables` gives them.
    """

    def __init__(self, parameters: Speckle2SelfParameters, ui: object) -> None:
        self._parameters = parameters
        self._observers: list[int] = []
        named = {widget.property(SlicerParameterNamePropertyName): widget for widget in vars(ui).values()}
        observe = parameters.AddObserver

        def remember(*arguments: object) -> int:
            self._observers.append(observe(*arguments))
            return self._observers[-1]

        parameters.AddObserver = remember
        try:
            self._tag = parameters.connectParametersToGui({name: widget for name, widget in named.items() if name})
        finally:
            del parameters.AddObserver

    def end(self) -> None:
        """Let go of the widgets and of the node."""
        self._parameters.disconnectGui(self._tag)
        for observer in self._observers:  # newer Slicers have done that
            self._parameters.RemoveObserver(observer)
