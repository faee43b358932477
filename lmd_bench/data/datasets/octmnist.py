"""OCTMNIST: 109,309 grey cross-sections of the retina in four classes; test holds 250 of each."""

from lmd_bench.data.datasets._medmnist import MedMnist, medmnist_card, medmnist_files


class OctMnist(MedMnist):
    """OCTMNIST from its published `.npz` files."""

    card = medmnist_card(
        "octmnist",
        "OCTMNIST, optical coherence tomography of the retina",
        (
            "choroidal neovascularization",
            "diabetic macular edema",
            "drusen",
            "normal",
        ),
        "Kermany et al., Cell 172 (2018), doi:10.1016/j.cell.2018.02.010",
        (37455, 11598, 8866, 51390),
    )
    published = medmnist_files(
        "octmnist",
        "c68d92d5b585d8d81f7112f81e2d0842",
        "e229e9440236b774d9f0dfef9d07bdaf",
        "0a97e76651ace45c5d943ee3f65b63ae",
        "abc493b6d529d5de7569faaef2773ba3",
    )
