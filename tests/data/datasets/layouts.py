"""Small files in the published layout of every data set, for the contract test."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from lmd_bench.data.datasets import Dataset, hyper_kvasir, isic2018, isic2019, isic_archive
from tests.data.datasets import archives

PER_CLASS = 2


def write(dataset: Dataset, root: Path) -> None:
    """Write two images of each class (three classes, where a person names them) below `root`."""
    root.mkdir(parents=True, exist_ok=True)
    name = dataset.card.name
    if name.endswith("mnist"):
        write_npz(root / f"{name}.npz", len(dataset.card.class_names))
    else:
        WRITERS[name](root, _labelled(dataset.card.class_names))


def write_npz(file: Path, n_classes: int, side: int = 28, channels: tuple[int, ...] = (3,)) -> None:
    """Write an `.npz` as the medmnist package downloads it: labels are [n, 1]."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(n_classes, dtype=np.uint8), PER_CLASS)[:, None]
    arrays: dict[str, np.ndarray] = {}
    for split in ("train", "val", "test"):
        shape = (len(labels), side, side, *channels)
        arrays[f"{split}_images"] = rng.integers(0, 256, shape, dtype=np.uint8)
        arrays[f"{split}_labels"] = labels
    np.savez_compressed(file, **arrays)


def write_image(file: Path, value: int = 100) -> None:
    """Write a small picture of one grey, making its folder."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 9), (value, value, value)).save(file)


def _labelled(class_names: Sequence[str]) -> list[tuple[str, str]]:
    return [(f"IMG_{c}{i}", name) for c, name in enumerate(class_names) for i in range(PER_CLASS)]


def _ham10000(root: Path, images: list[tuple[str, str]]) -> None:
    lines = [f"L_{i},{image},{name},histo,50,male,back" for i, (image, name) in enumerate(images)]
    header = "lesion_id,image_id,dx,dx_type,age,sex,localization"
    (root / "HAM10000_metadata.csv").write_text("\n".join([header, *lines]))
    for i, (image, _) in enumerate(images):
        write_image(root / f"HAM10000_images_part_{1 + i % 2}" / f"{image}.jpg")


def _isic2019(root: Path, images: list[tuple[str, str]]) -> None:
    names = isic2019.Isic2019.card.class_names
    truth = [",".join(["image", *names, "UNK"])]
    about = ["image,age_approx,anatom_site_general,lesion_id,sex"]
    for image, name in images:
        truth.append(",".join([image, *("1.0" if n == name else "0.0" for n in names), "0.0"]))
        about.append(f"{image},50,back,,male")
        write_image(root / isic2019.IMAGES / f"{image}.jpg")
    (root / isic2019.GROUND_TRUTH).write_text("\n".join(truth))
    (root / isic2019.METADATA).write_text("\n".join(about))


def _hyper_kvasir(root: Path, images: list[tuple[str, str]]) -> None:
    lines = ["Video file,Organ,Finding,Classification"]
    for image, name in images:
        tract, group, _ = hyper_kvasir.FINDINGS[name]
        lines.append(f"{image},{tract},{name},{group}")
        write_image(root / hyper_kvasir.IMAGES / tract / group / name / f"{image}.jpg")
    (root / hyper_kvasir.LABELS[0]).write_text("\n".join(lines))


def _folder(root: Path, images: list[tuple[str, str]]) -> None:
    for name in ("benign", "malignant", "normal"):
        for i in range(PER_CLASS):
            write_image(root / name / f"{i}.png")


def _isic_archive(root: Path, images: list[tuple[str, str]]) -> None:
    names = isic_archive.IsicArchive.card.class_names
    about = ["isic_id,lesion_id,diagnosis"]
    for split, file in isic_archive.SPLIT_FILES.items():
        lines = [",".join(["image", *names])]
        for image, name in images:
            lines.append(",".join([f"{image}_{split}", *(str(int(n == name)) for n in names)]))
            about.append(f"{image}_{split},,{name}")
            write_image(root / isic_archive.IMAGES / f"{image}_{split}.jpg")
        (root / file).write_text("\n".join(lines))
    (root / isic_archive.METADATA).write_text("\n".join(about))


def _labels_csv(root: Path, images: list[tuple[str, str]]) -> None:
    lines = [f"{image}.jpg,{name},s{i // 3}" for i, (image, name) in enumerate(images)]
    (root / "labels.csv").write_text("\n".join(["image,label,group", *lines]))
    for image, _ in images:
        write_image(root / "images" / f"{image}.jpg")


def _isic2018(root: Path, images: list[tuple[str, str]]) -> None:
    names = [name.upper() for name in isic2018.Isic2018.card.class_names]
    for part in ("Training", "Validation", "Test"):
        truth = [",".join(["image", *names])]
        for image, name in images:
            ones = ("1.0" if n == name.upper() else "0.0" for n in names)
            truth.append(",".join([f"{image}_{part}", *ones]))
            write_image(root / f"ISIC2018_Task3_{part}_Input" / f"{image}_{part}.jpg")
        folder = root / f"ISIC2018_Task3_{part}_GroundTruth"
        folder.mkdir()
        (folder / f"{folder.name}.csv").write_text("\n".join(truth))


def _webdataset(root: Path, images: list[tuple[str, str]]) -> None:
    archives.write_tar(root / "shard-0000.tar", archives.samples(("a", "b", "c"), PER_CLASS))


def _huggingface(root: Path, images: list[tuple[str, str]]) -> None:
    archives.write_saved(root, archives.rows(("a", "b", "c"), PER_CLASS))


def _synthetic(root: Path, images: list[tuple[str, str]]) -> None:
    """Write nothing: it is drawn."""


WRITERS: dict[str, Callable[[Path, list[tuple[str, str]]], None]] = {
    "ham10000": _ham10000,
    "isic2018": _isic2018,
    "isic2019": _isic2019,
    "isic_archive": _isic_archive,
    "hyper_kvasir": _hyper_kvasir,
    "pbc": _labels_csv,
    "chula_rbc12": _labels_csv,
    "folder": _folder,
    "webdataset": _webdataset,
    "huggingface": _huggingface,
    "synthetic": _synthetic,
}
