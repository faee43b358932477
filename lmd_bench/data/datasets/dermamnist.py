"""DermaMNIST: the 10,015 images of HAM10000, split by image: lesions cross its official split."""

from lmd_bench.data.datasets._medmnist import MedMnist, medmnist_card, medmnist_files


class DermaMnist(MedMnist):
    """DermaMNIST from its published `.npz` files."""

    card = medmnist_card(
        "dermamnist",
        "DermaMNIST, dermatoscopic images of pigmented lesions",
        (
            "actinic keratoses and intraepithelial carcinoma",
            "basal cell carcinoma",
            "benign keratosis-like lesions",
            "dermatofibroma",
            "melanoma",
            "melanocytic nevi",
            "vascular lesions",
        ),
        "Tschandl et al., Scientific Data 5 (2018), doi:10.1038/sdata.2018.161",
        (327, 514, 1099, 115, 1113, 6705, 142),
        "CC BY-NC 4.0",
    )
    images_from = ("ham10000",)
    published = medmnist_files(
        "dermamnist",
        "0744692d530f8e62ec473284d019b0c7",
        "b70a2f5635c6199aeaa28c31d7202e1f",
        "2defd784463fa5243564e855ed717de1",
        "8974907d8e169bef5f5b96bc506ae45d",
    )
