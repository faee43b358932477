"""TissueMNIST: 236,386 grey images of single kidney cells in eight classes."""

from lmd_bench.data.datasets._medmnist import MedMnist, medmnist_card, medmnist_files


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
    published = medmnist_files(
        "tissuemnist",
        "ebe78ee8b05294063de985d821c1c34b",
        "123ece2eba09d0aa5d698fda57103344",
        "61b955355d7425a89687b06cca3ce0c2",
        "b077128c4a949f0a4eb01517f9037b9c",
    )
