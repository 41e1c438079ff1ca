"""Random pictures with random labels, for trying a program without data."""

from __future__ import annotations

from ._base import VisionDataset


class FakeData(VisionDataset):
    """Random pictures, the same every time for the same index.

    size: how many; image_size: (C, H, W); num_classes: labels are 0 .. num_classes - 1;
    random_offset: added to the index to seed each picture.

    >>> import flambeau as fb
    >>> data = fb.vision.datasets.FakeData(size=10, image_size=(1, 4, 4))
    >>> len(data)
    10
    """

    def __init__(self, size=1000, image_size=(3, 224, 224), num_classes=10, transform=None,
                 target_transform=None, random_offset=0):  # fmt: skip
        super().__init__(transform=transform, target_transform=target_transform)
        self.size, self.image_size, self.num_classes = size, image_size, num_classes
        self.random_offset = random_offset

    def __getitem__(self, index):
        """Return (PIL picture or what the transform makes of it, label as int).

        Raises IndexError outside 0 .. size - 1.
        """
        from flambeau import Generator, randint, randn

        from ..transforms.functional import to_pil_image

        if not 0 <= index < self.size:
            raise IndexError(f"{type(self).__name__} index {index} out of range of {self.size}")
        source = Generator()
        source.manual_seed(index + self.random_offset)
        picture = to_pil_image(randn(*self.image_size, generator=source))
        target = int(randint(0, self.num_classes, (1,), generator=source)[0])
        if self.transform is not None:
            picture = self.transform(picture)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return picture, target

    def __len__(self):
        return self.size
