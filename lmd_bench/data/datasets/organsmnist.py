"""OrganSMNIST: 25,211 grey sagittal slices of abdominal CTs in eleven organs, split by scan."""

from lmd_bench.data.datasets._medmnist import MedMnist, medmnist_card


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
