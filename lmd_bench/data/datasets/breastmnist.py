"""BreastMNIST: 780 grey ultrasound images in two classes."""

from lmd_bench.data.datasets._medmnist import MedMnist, medmnist_card


class BreastMnist(MedMnist):
    """BreastMNIST from its published `.npz` files."""

    card = medmnist_card(
        "breastmnist",
        "BreastMNIST, breast ultrasound",
        (
            "malignant",
            "normal or benign",
        ),
        "Al-Dhabyani et al., Data in Brief 28 (2020), doi:10.1016/j.dib.2019.104863",
        (210, 570),
    )
