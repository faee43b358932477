"""TissueMNIST: 236,386 grey images of single kidney cells in eight classes."""

from lmd_bench.data.datasets._medmnist import MedMnist, medmnist_card


class TissueMnist(MedMnist):
    """TissueMNIST from its published `.npz` files."""

    card = medmnist_card(
        "tissuemnist",
        "TissueMNIST, cells of the kidney cortex",
        (
            "collecting duct or connecting tubule",
            "distal convoluted tubule",
            "glomerular endothelial cells",
            "interstitial endothelial cells",
            "leukocytes",
            "podocytes",
            "proximal tubule segments",
            "thick ascending limb",
        ),
        "Ljosa et al., Nature Methods 9 (2012), doi:10.1038/nmeth.2083 (BBBC051)",
        (75822, 11164, 8381, 22009, 16842, 11008, 56005, 35155),
    )
