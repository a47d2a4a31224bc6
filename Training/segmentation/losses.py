"""Losses of segmentation training."""

from __future__ import annotations

import torch
from monai.losses import DiceCELoss
from torch import Tensor, nn

NOT_LUMEN = 3
"""Label of pixels that are no lumen, where nobody has said whether they are wall or background."""
_LUMEN = 1


class PartlyLabelledLoss(nn.Module):
    """Dice and cross entropy, also on frames in which only the lumen was drawn.

    Where the wall was not drawn, the probabilities of background and wall are added and compared as one class (marginal
    loss: Shi et al., Medical Image Analysis 70, 2021, 101979, eq. 2). All frames have a part in that comparison; the
    comparison of all classes is made on the frames that have them.
    """

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.classes = classes
        self.every_class = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True)
        self.lumen = DiceCELoss(sigmoid=True)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss, shape (), of logits (N, classes, H, W) and labels (N, 1, H, W)."""
        others = [number for number in range(self.classes) if number != _LUMEN]
        log_odds = logits[:, _LUMEN, None] - torch.logsumexp(logits[:, others], 1, keepdim=True)
        loss: Tensor = self.lumen(log_odds, (labels == _LUMEN).to(logits.dtype))
        is_whole = (labels != NOT_LUMEN).flatten(1).all(1)
        if is_whole.any():
            loss = loss + is_whole.float().mean() * self.every_class(logits[is_whole], labels[is_whole])
        return loss
