"""OrganAMNIST: 58,830 grey axial slices of abdominal CT scans in eleven organs, split by scan."""

from lmd_bench.data.datasets._medmnist import MedMnist, medmnist_card, medmnist_files


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
    published = medmnist_files(
        "organamnist",
        "68e3f8846a6bd62f0c9bf841c0d9eacc",
        "2dcccc29b88e6da5a01161ef20cda288",
        "eeae80d0a227a8d099027e1b3cfd3b60",
        "50747347e05c87dd3aaf92c49f9f3170",
    )
