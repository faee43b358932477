"""OCTMNIST: 109,309 grey cross-sections of the retina in four classes; test holds 250 of each."""

from lmd_bench.data.datasets._medmnist import MedMnist, medmnist_card


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
