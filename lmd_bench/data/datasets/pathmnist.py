"""PathMNIST: 107,180 patches of stained colon tissue, nine classes; test is of another clinic."""

from lmd_bench.data.datasets._medmnist import MedMnist, medmnist_card, medmnist_files


class PathMnist(MedMnist):
    """PathMNIST from its published `.npz` files."""

    card = medmnist_card(
        "pathmnist",
        "PathMNIST, colon tissue under the microscope",
        (
            "adipose",
            "background",
            "debris",
            "lymphocytes",
            "mucus",
            "smooth muscle",
            "normal colon mucosa",
            "cancer-associated stroma",
            "colorectal adenocarcinoma epithelium",
        ),
        "Kather et al., PLOS Medicine 16 (2019), doi:10.1371/journal.pmed.1002730",
        (11745, 11413, 11851, 12191, 9931, 14128, 9504, 10867, 15550),
    )
    published = medmnist_files(
        "pathmnist",
        "a8b06965200029087d5bd730944a56c1",
        "55aa9c1e0525abe5a6b9d8343a507616",
        "ac42d08fb904d92c244187169d1fd1d9",
        "2c51a510bcdc9cf8ddb2af93af1eadec",
    )
