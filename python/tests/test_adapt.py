"""The guard of every seam: what serves, what falls through, and why."""

import functools
import os
import threading
import time

import pytest
import torch

from ropejit import adapt


def original(x, scale=2.0):
    """Doubles."""
    return x * scale


def ours(x, scale=2.0):
    return x * scale


def served_by(function, **options):
    """A stand-in for `original` by `function`, its seam, and a list to which calls of `function` are noted."""
    calls = []

    @functools.wraps(function)
    def noted(*arguments, **keywords):
        calls.append(arguments)
        return function(*arguments, **keywords)

    seam = adapt.Seam("other.double", **options)
    return adapt.stand_in(seam, original, noted, lambda x, *rest, **more: x.numel()), seam, calls


@pytest.mark.parametrize("value, name, is_off", [
    ("1", "hf.qwen3", True), ("all", "vllm", True), ("hf", "hf.qwen3", True), ("hf", "hf", True),
    ("vllm, hf", "hf.llama", True), ("hf.qwen3", "hf.qwen3", True), ("hf.qwen3", "hf.qwen3_moe", False),
    ("h", "hf", False), ("vllm", "hf", False), ("0", "hf", False), ("", "hf", False), (",", "hf", False),
])
def test_the_environment_turns_seams_off_by_name(value, name, is_off, monkeypatch):
    monkeypatch.setenv("ROPEJIT_DISABLE", value)
    reason = adapt.disabled(name)
    assert (reason is not None) == is_off
    assert reason is None or (name in reason and value in reason)


def test_with_the_variable_set_the_original_serves_and_is_counted(monkeypatch):
    monkeypatch.setenv("ROPEJIT_DISABLE", "other")
    call, seam, calls = served_by(lambda x: x * 3)
    assert torch.equal(call(torch.ones(4)), torch.full((4,), 2.0))
    assert not calls and seam.served == 0 and list(seam.fallen_through.values()) == [1]


# --- fingerprints ---------------------------------------------------------------------------------------------------


def known_of(function):
    return {adapt.fingerprint(function): ["1.0", "1.2.3"]}


def with_one_argument_more(x, scale=2.0, bias=None):
    return x * scale


def with_another_default(x, scale=3.0):
    return x * scale


def with_another_body(x, scale=2.0):
    return scale * x


def test_words_are_no_part_of_a_fingerprint(tmp_path):
    def named_alike(text):
        scope = {}
        path = tmp_path / f"module_{abs(hash(text))}.py"
        path.write_text(text)
        exec(compile(text, str(path), "exec"), scope)
        return scope["f"]

    plain = named_alike("def f(x, scale=2.0):\n    return x * scale\n")
    worded = named_alike('def f(x, scale=2.0):\n    """Doubles,\n    mostly."""\n\n    # a comment\n    return x * scale\n')
    assert adapt.fingerprint(plain) == adapt.fingerprint(worded)
    changed = named_alike("def f(x, scale=2.0):\n    return x * scale + 0\n")
    assert adapt.fingerprint(plain) != adapt.fingerprint(changed)


@pytest.mark.parametrize("stand_in", [with_one_argument_more, with_another_default, with_another_body])
def test_other_code_than_what_is_known_turns_a_seam_off_with_one_line(stand_in):
    line = adapt.unknown("other.double", stand_in, known_of(original))
    assert line.startswith("other.double: found other code (fingerprint ") and "1.0 to 1.2.3" in line and "\n" not in line
    with pytest.warns(UserWarning, match="ropejit does not serve other.double") as warned:
        call, seam, calls = served_by(lambda x: x * 3, unknown=line)
    assert len(warned) == 1
    assert torch.equal(call(torch.ones(4)), torch.full((4,), 2.0)) and not calls
    assert seam.reason == line and seam.fallen_through == {line: 1}


def test_code_that_is_known_serves():
    assert adapt.unknown("other.double", original, known_of(original)) is None


def test_code_without_a_source_is_unknown():
    assert adapt.fingerprint(len) is None
    assert "cannot be read" in adapt.unknown("len", len, known_of(original))


# --- policies ---------------------------------------------------------------------------------------------------------


def slowly(x, scale=2.0):
    time.sleep(0.002)
    return x * scale


def test_a_function_slowed_on_purpose_is_not_chosen():
    call, seam, calls = served_by(slowly, policy="auto")
    result = call(torch.ones(4))
    timed = len(calls)
    assert torch.equal(result, torch.full((4,), 2.0)) and seam.choices == {4: False}
    call(torch.ones(4))
    assert len(calls) == timed and seam.fallen_through == {"slower": 2} and seam.served == 0


def test_an_original_slowed_on_purpose_is_replaced_and_each_size_is_timed_once():
    seam = adapt.Seam("other.slow", policy="auto")
    calls = []

    def fast(x):
        calls.append(x.numel())
        return x * 2

    call = adapt.stand_in(seam, slowly, fast, lambda x: x.numel())
    for size in (4, 4, 8, 4, 8):
        call(torch.ones(size))
    assert seam.choices == {4: True, 8: True} and seam.served == 5
    assert calls[-3:] == [8, 4, 8]


@pytest.mark.parametrize("options, named", [({"policy": "fastest"}, "policy"), ({"shadow": -1}, "shadow"), ({"shadow": 1.5}, "shadow")])
def test_wrong_options_are_named(options, named):
    with pytest.raises(ValueError, match=f"^{named}: found"):
        adapt.Seam("other", **options)


# --- shadow runs --------------------------------------------------------------------------------------------------------


def with_a_flipped_sign(x, scale=2.0):
    result = x * scale
    result[..., 0] *= -1
    return result


def test_a_wrong_result_ends_in_a_fall_back_whose_output_is_the_originals():
    call, seam, calls = served_by(with_a_flipped_sign, shadow=3)
    x = torch.randn(3, 8)
    with pytest.warns(UserWarning, match="shadow: found result 0"):
        assert torch.equal(call(x), original(x))
    assert torch.equal(call(x), original(x)) and len(calls) == 1, "it was tried again"
    assert seam.reason.startswith("shadow") and seam.served == 0


def test_right_results_are_compared_as_often_as_asked_and_serve():
    call, seam, calls = served_by(ours, shadow=2)
    for _ in range(5):
        call(torch.randn(3, 8))
    assert len(calls) == 5 + 2 and seam.served == 5 and seam.reason is None


@pytest.mark.parametrize("change, is_far", [
    (lambda x: x * (1 + 2.0**-7), False), (lambda x: x * (1 + 2.0**-4), True), (lambda x: x * float("nan"), True),
    (lambda x: x[..., :4], True), (lambda x: x.half(), True),
])
def test_the_bound_is_some_units_in_the_last_place(change, is_far):
    call, seam, _ = served_by(lambda x: change(x * 2), shadow=1)
    x = torch.randn(5, 8).bfloat16()
    if is_far:
        with pytest.warns(UserWarning):
            assert torch.equal(call(x), original(x))
    else:
        call(x)
    assert (seam.reason is not None) == is_far


def test_what_is_no_number_in_both_is_no_difference():
    call, seam, _ = served_by(ours, shadow=1)
    call(torch.tensor([[float("nan"), float("inf"), 1.0]]))
    assert seam.reason is None


def test_counters_have_every_seam_that_is_there():
    call, seam, _ = served_by(ours)
    call(torch.ones(2))
    mine = [each for each in adapt.counters() if each["name"] == "other.double" and each["served"] == 1]
    assert mine and mine[0]["reason"] is None and mine[0]["fallen_through"] == {}


def test_a_trace_has_what_serves_and_counts_nothing():
    torch._dynamo.reset()
    call, seam, _ = served_by(ours)
    compiled = torch.compile(lambda x: call(x) + 1, backend="eager", fullgraph=True)
    assert torch.equal(compiled(torch.ones(4)), torch.full((4,), 3.0)) and seam.served == 0


# --- what may go wrong beside the results -------------------------------------------------------------------------------


def failing(x, scale=2.0):
    raise RuntimeError("no such kernel")


@pytest.mark.parametrize("options", [{"shadow": 3}, {"policy": "auto"}], ids=str)
def test_a_trial_that_fails_turns_the_seam_off_and_the_original_serves(options):
    call, seam, calls = served_by(failing, **options)
    with pytest.warns(UserWarning, match="a trial: found RuntimeError: no such kernel"):
        assert torch.equal(call(torch.ones(4)), torch.full((4,), 2.0))
    assert torch.equal(call(torch.ones(4)), torch.full((4,), 2.0))
    assert len(calls) == 1 and seam.served == 0 and sum(seam.fallen_through.values()) == 2


@pytest.mark.filterwarnings("error")
def test_where_warnings_are_errors_the_call_is_served_all_the_same():
    call, seam, _ = served_by(with_a_flipped_sign, shadow=1)
    x = torch.randn(3, 8)
    assert torch.equal(call(x), original(x)) and seam.reason.startswith("shadow")


def test_a_call_that_waited_for_a_shadow_run_sees_what_it_found():
    entered, go_on, results = threading.Event(), threading.Event(), {}

    def wrong(x, scale=2.0):
        entered.set()
        assert go_on.wait(10)
        return x * 3

    call, seam, _ = served_by(wrong, shadow=1)

    def run(name):
        results[name] = call(torch.ones(2, 4))

    with pytest.warns(UserWarning, match="shadow"):
        first, second = (threading.Thread(target=run, args=(name,)) for name in ("first", "second"))
        first.start()
        assert entered.wait(10)
        second.start()
        time.sleep(0.05)
        go_on.set()
        first.join(10), second.join(10)
    for result in results.values():
        assert torch.equal(result, torch.full((2, 4), 2.0))
    assert len(results) == 2 and seam.served == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork")
@pytest.mark.filterwarnings("ignore:.*fork")
def test_a_child_that_is_forked_during_a_trial_is_served():
    entered, go_on = threading.Event(), threading.Event()

    def waiting(x, scale=2.0):
        entered.set()
        assert go_on.wait(20)
        return x * scale

    call, seam, _ = served_by(waiting, shadow=2)
    thread = threading.Thread(target=call, args=(torch.ones(4),))
    thread.start()
    assert entered.wait(10)
    child = os.fork()
    if child == 0:  # no torch here: its threads are those of the parent
        os._exit(0 if seam._lock.acquire(timeout=5) else 1)
    go_on.set()
    thread.join(20)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_what_cannot_be_hashed_is_unknown():
    class Odd:
        __hash__ = None

        def __call__(self):
            pass

    assert adapt.fingerprint(Odd()) is None
