"""BloodMNIST: 17,092 images of single blood cells in eight classes."""

from lmd_bench.data.datasets._medmnist import MedMnist, medmnist_card, medmnist_files


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
    images_from = ("pbc",)
    published = medmnist_files(
        "bloodmnist",
        "7053d0359d879ad8a5505303e11de1dc",
        "2b94928a2ae4916078ca51e05b6b800b",
        "adace1e0ed228fccda1f39692059dd4c",
        "b718ff6835fcbdb22ba9eacccd7b2601",
    )
