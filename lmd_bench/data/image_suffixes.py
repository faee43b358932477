"""The endings of the image files that are read, wherever a name with or without one may stand."""

DICOM_SUFFIXES = frozenset({".dcm", ".dicom"})
SUFFIXES = DICOM_SUFFIXES | {
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".bmp", ".webp"),
    *(".gif", ".pgm", ".ppm", ".jp2"),
}
NIFTI_SUFFIXES = (".nii", ".nii.gz")
