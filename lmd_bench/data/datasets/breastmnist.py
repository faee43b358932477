"""BreastMNIST: 780 grey ultrasound images in two classes."""

from lmd_bench.data.datasets._medmnist import MedMnist, medmnist_card, medmnist_files


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
    published = medmnist_files(
        "breastmnist",
        "750601b1f35ba3300ea97c75c52ff8f6",
        "742edef2a1fd1524b2efff4bd7ba9364",
        "363e4b3f8d712e9b5de15470a2aaadf1",
        "b56378a6eefa9fed602bb16d192d4c8b",
    )
