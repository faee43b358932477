"""OrganAMNIST: 58,830 grey axial slices of abdominal CT scans in eleven organs, split by scan."""

from lmd_bench.data.datasets._medmnist import MedMnist, medmnist_card


class OrganAMnist(MedMnist):
    """OrganAMNIST from its published `.npz` files."""

    card = medmnist_card(
        "organamnist",
        "OrganAMNIST, organs in axial slices of CT",
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
        58_830,
    )
