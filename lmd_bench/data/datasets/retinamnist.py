"""RetinaMNIST: 1,600 fundus images in five ordered grades, here taken as plain classes."""

from lmd_bench.data.datasets._medmnist import MedMnist, medmnist_card, medmnist_files


class RetinaMnist(MedMnist):
    """RetinaMNIST from its published `.npz` files."""

    card = medmnist_card(
        "retinamnist",
        "RetinaMNIST, grades of diabetic retinopathy",
        (
            "grade 0",
            "grade 1",
            "grade 2",
            "grade 3",
            "grade 4",
        ),
        "Liu et al., DeepDRiD, Patterns 3 (2022), doi:10.1016/j.patter.2022.100512",
        (714, 186, 326, 282, 92),
    )
    published = medmnist_files(
        "retinamnist",
        "bd4c0672f1bba3e3a89f0e4e876791e4",
        "afda852cc34dcda56f86ad2b2457dbcc",
        "e48e916a24454daf90583d4e6efb1a18",
        "eae7e3b6f3fcbda4ae613ebdcbe35348",
    )
