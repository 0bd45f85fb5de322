"""Names of BMN."""

from vidjax.convert.rules import Naming, dense_rules

MMACTION2 = Naming(
    "MMAction2",
    {
        **dense_rules(r"x_1d_b\.0", "base_0"),
        **dense_rules(r"x_1d_b\.2", "base_1"),
        **dense_rules(r"x_1d_s\.0", "start_0"),
        **dense_rules(r"x_1d_s\.2", "start_1"),
        **dense_rules(r"x_1d_e\.0", "end_0"),
        **dense_rules(r"x_1d_e\.2", "end_1"),
        **dense_rules(r"x_1d_p\.0", "proposal"),
        **dense_rules(r"x_3d_p\.0", "match"),
        **dense_rules(r"x_2d_p\.0", "map_0"),
        **dense_rules(r"x_2d_p\.2", "map_1"),
        **dense_rules(r"x_2d_p\.4", "map_2"),
        **dense_rules(r"x_2d_p\.6", "logits"),
    },
    ignore=("sample_mask", "bm_mask"),  # Constants.
)
