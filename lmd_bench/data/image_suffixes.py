"""The endings of the image files that are read, wherever a name with or without one may stand."""

SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".bmp", ".webp"),
        *(".gif", ".pgm", ".ppm", ".jp2"),
    )
)
