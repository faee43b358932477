"""PneumoniaMNIST: 5,856 grey chest X-rays of children in two classes."""

from lmd_bench.data.datasets._medmnist import MedMnist, medmnist_card, medmnist_files


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
    published = medmnist_files(
        "pneumoniamnist",
        "28209eda62fecd6e6a2d98b1501bb15f",
        "8f4eceb4ccffa70c672198ea285246c6",
        "05b46931834c231683c68f40c47b2971",
        "d6a3c71de1b945ea11211b03746c1fe1",
    )
