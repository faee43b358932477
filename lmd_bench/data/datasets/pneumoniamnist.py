"""PneumoniaMNIST: 5,856 grey chest X-rays of children in two classes."""

from lmd_bench.data.datasets._medmnist import MedMnist, medmnist_card


class PneumoniaMnist(MedMnist):
    """PneumoniaMNIST from its published `.npz` files."""

    card = medmnist_card(
        "pneumoniamnist",
        "PneumoniaMNIST, chest X-rays of children",
        (
            "normal",
            "pneumonia",
        ),
        "Kermany et al., Cell 172 (2018), doi:10.1016/j.cell.2018.02.010",
        (1583, 4273),
    )
