"""BloodMNIST: 17,092 images of single blood cells in eight classes."""

from lmd_bench.data.datasets._medmnist import MedMnist, medmnist_card


class BloodMnist(MedMnist):
    """BloodMNIST from its published `.npz` files."""

    card = medmnist_card(
        "bloodmnist",
        "BloodMNIST, blood cells under the microscope",
        (
            "basophil",
            "eosinophil",
            "erythroblast",
            "immature granulocyte",
            "lymphocyte",
            "monocyte",
            "neutrophil",
            "platelet",
        ),
        "Acevedo et al., Data in Brief 30 (2020), doi:10.1016/j.dib.2020.105474",
        (1218, 3117, 1551, 2895, 1214, 1420, 3329, 2348),
    )
