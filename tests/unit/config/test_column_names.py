"""Names of columns: the size's and the measure's, as a study file has them."""

from support.factories import make_sweep
from support.script_records import flops_sweep
from sweeper.config.column_names import column_name

FIELDS = ("arm", "nonzero", "total", "effective", "val_accuracy", "test_accuracy", "weights")


def test_a_pack_has_all_fields_under_the_name_of_its_measure() -> None:
    f1 = make_sweep(measure="f1", targets={"f1": [0.9], "nonzero": [100]})
    assert [column_name(make_sweep(), field) for field in FIELDS] == [*FIELDS]
    assert column_name(f1, "val_accuracy") == "val_f1"


def test_a_script_has_its_own_size_and_none_of_the_counts_of_packs() -> None:
    names = [column_name(flops_sweep(), field) for field in FIELDS]
    assert names == ["arm", "flops", None, None, "val_f1", "test_f1", None]
