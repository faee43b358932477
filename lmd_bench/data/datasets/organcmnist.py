"""OrganCMNIST: 23,583 grey coronal slices of abdominal CT scans in eleven organs, split by scan."""

from lmd_bench.data.datasets._medmnist import MedMnist, medmnist_card, medmnist_files


class OrganCMnist(MedMnist):
    """OrganCMNIST from its published `.npz` files."""

    card = medmnist_card(
        "organcmnist",
        "OrganCMNIST, organs in coronal slices of CT",
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
        23_583,
    )
    published = medmnist_files(
        "organcmnist",
        "b9ceb9546e10131b32923c5bbeaea2b1",
        "3ce34a8724ea6f548e6db4744d03b6a9",
        "773c1f009daa3fe5d9a2a201b2a7ed94",
        "050f5e875dc056f6768abf94ec9995d1",
    )
