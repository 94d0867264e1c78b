import pytest

from fashionsearchnet.checks import check_choice, check_range, listed, suggestion, whole_numbers


def test_choices_pass_through():
    assert check_choice("mode", "fast", ["fast", "slow"]) == "fast"
    assert check_choice("mode", "fast", {"fast": 1}) == "fast"
    assert check_choice("stride", 2, iter((1, 2))) == 2


def test_other_values_are_answered_with_all_choices():
    with pytest.raises(ValueError) as error:
        check_choice("mode", "FASTER", ["fast", "slow"])
    assert str(error.value) == (
        "mode must be one of fast, slow; got 'FASTER' (did you mean fast?)."
    )
    with pytest.raises(ValueError, match=r"got None\.$"):
        check_choice("mode", None, ["fast", "slow"])


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_numbers_within_the_bounds_pass_through(value):
    assert check_range("share", value, 0.0, 1.0) == value


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), float("inf")])
def test_numbers_outside_the_bounds(value):
    with pytest.raises(ValueError, match=rf"share must be between 0.0 and 1.0; got {value}\."):
        check_range("share", value, 0.0, 1.0)


def test_a_lower_bound_only():
    assert check_range("steps", 10**12, 1) == 10**12
    with pytest.raises(ValueError, match=r"steps must be at least 1; got 0\."):
        check_range("steps", 0, 1)


def test_suggestions_ignore_case_and_need_some_likeness():
    assert suggestion("Resnet50", ["resnet50", "alexnet"]) == " (did you mean resnet50?)"
    assert suggestion("alexnet", ["AlexNet"]) == " (did you mean AlexNet?)"
    assert suggestion("zzz", ["resnet50", "alexnet"]) == ""
    assert suggestion("x", []) == ""


def test_whole_numbers_of_a_list_flag():
    assert whole_numbers("num_changes", ["2", " 1", "2"], 1) == (2, 1, 2)
    for texts in (["1", "two"], [], ["-1"], ["1.5"]):
        with pytest.raises(ValueError, match=r"--num_changes must be whole numbers with commas"):
            whole_numbers("num_changes", texts, 1)
    with pytest.raises(ValueError, match="--num_changes must each be at least 1; got 1,0"):
        whole_numbers("num_changes", ["1", "0"], 1)


def test_a_list_names_the_first_and_counts_the_others():
    assert listed(["a", "b"], 2) == "a, b"
    assert listed(["a", "b", "c", "d"], 2) == "a, b and 2 more"
    assert listed([], 2) == ""
