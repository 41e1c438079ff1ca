"""What all picture datasets share: transforms, printing, and fetching a whole batch at once."""

from __future__ import annotations

import os

from flambeau.utils.data import Dataset


class StandardTransform:
    """Applies one function to the picture and another to the target."""

    def __init__(self, transform=None, target_transform=None):
        self.transform, self.target_transform = transform, target_transform

    def __call__(self, picture, target):
        if self.transform is not None:
            picture = self.transform(picture)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return picture, target

    def __repr__(self):
        lines = [type(self).__name__]
        named = (("Transform: ", self.transform), ("Target transform: ", self.target_transform))
        for label, function in named:
            if function is not None:
                lines.append(label + f"\n{' ' * len(label)}".join(repr(function).splitlines()))
        return "\n".join(lines)


class VisionDataset(Dataset):
    """Base of picture datasets: root folder and transforms.

    root: str or path. transforms: function of (picture, target); or else transform: of the
    picture, and target_transform: of the target.

    Raises ValueError when transforms is given together with one of the others.
    """

    _repr_indent = 4

    def __init__(self, root=None, transforms=None, transform=None, target_transform=None):
        self.root = os.path.expanduser(root) if isinstance(root, str) else root
        separate = transform is not None or target_transform is not None
        if transforms is not None and separate:
            raise ValueError(
                "Only transforms or transform/target_transform can be passed as argument"
            )
        self.transform, self.target_transform = transform, target_transform
        if separate:
            transforms = StandardTransform(transform, target_transform)
        self.transforms = transforms

    def __len__(self):
        raise NotImplementedError(f"{type(self).__name__} does not say how long it is")

    def __repr__(self):
        body = [f"Number of datapoints: {len(self)}"]
        if self.root is not None:
            body.append(f"Root location: {self.root}")
        body += self.extra_repr().splitlines()
        if self.transforms is not None:
            body.append(repr(self.transforms))
        indent = " " * self._repr_indent
        # Only the first line of each entry is indented, as users of PyTorch know it.
        return "\n".join([f"Dataset {type(self).__name__}", *(indent + line for line in body)])

    def extra_repr(self):
        """Return more lines for repr()."""
        return ""


class BatchedPictures(VisionDataset):
    """A dataset whose pictures lie in one uint8 tensor, so that batches can be gathered whole.

    When the transform is made of ToTensor, Normalize and the like, which treat each value by
    itself, a batch costs one gather and a few operations; the numbers are the same bits as
    those of one picture at a time.
    """

    # Tells the DataLoader that __getitems__ takes ranges and tensors of indices too.
    _compact_indices = True

    def _stored(self):
        """Return (pictures: uint8 [N, H, W] or [N, H, W, C], targets: int64 [N])."""
        raise NotImplementedError

    def __getitems__(self, indices):
        from flambeau.utils.data import Gathered

        steps = self._whole_batch_steps()
        if steps is None:
            return [self[int(i)] for i in indices]
        pictures, targets = self._stored()
        if isinstance(indices, range) and indices.step == 1 and indices.start >= 0:
            chosen = slice(indices.start, indices.stop)
            pictures, targets = pictures[chosen], targets[chosen].clone()
        else:
            index = _index(indices, len(pictures))
            pictures, targets = pictures.index_select(0, index), targets.index_select(0, index)
        pictures = pictures.unsqueeze(1) if pictures.dim() == 3 else pictures.permute(0, 3, 1, 2)
        for step in steps:
            pictures = step.on_batch(pictures)
        return Gathered([pictures, targets])

    def _whole_batch_steps(self):
        """Return the list of transforms that work on a whole batch, or None."""
        from ..transforms import Compose, ToTensor

        if self.target_transform is not None or type(self.transforms) is not StandardTransform:
            return None
        # Someone may have assigned another transform later; the slow path uses that one.
        transform = self.transform
        steps = list(transform.transforms) if type(transform) is Compose else [transform]
        if not steps or type(steps[0]) is not ToTensor:
            return None
        return steps if all(getattr(s, "by_value", False) for s in steps) else None


def _index(indices, count):
    """Return int64 indices as a tensor, negative ones counted from the end."""
    from flambeau import Tensor, int64, tensor

    if isinstance(indices, Tensor):
        return indices.to(int64)
    return tensor([i + count if i < 0 else i for i in map(int, indices)], dtype=int64)
