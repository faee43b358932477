"""OrganSMNIST: 25,211 grey sagittal slices of abdominal CTs in eleven organs, split by scan."""

from lmd_bench.data.datasets._medmnist import MedMnist, medmnist_card, medmnist_files


class OrganSMnist(MedMnist):
    """OrganSMNIST from its published `.npz` files."""

    card = medmnist_card(
        "organsmnist",
        "OrganSMNIST, organs in sagittal slices of CT",
        (
            "bladder",
            "femur-left",
            "femur-right",
            "heart",
            "kidney-left",
            "kidney-right",
            "liver",
            "lung-left",
            "lung-right",
            "pancreas",
            "spleen",
        ),
        "Bilic et al., LiTS, Medical Image Analysis 84 (2023), doi:10.1016/j.media.2022.102680",
        25_211,
    )
    published = medmnist_files(
        "organsmnist",
        "9ab87b696fb54e2a387ebe992d6ed5f1",
        "53a6d115339d874c25e309a994ff46d3",
        "ded0c5fa01a95dc4978b956f613e9b8e",
        "b354719e553fbbb2513d5533f52a4cb1",
    )
