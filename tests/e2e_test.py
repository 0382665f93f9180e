#!/usr/bin/env python3
"""Tests of bench/e2e as far as it goes without PyTorch: intervals, turns, lines that are read again, verdicts, the table."""

import contextlib
import io
import math
import pathlib
import random
import sys
import tempfile
import unittest

E2E = pathlib.Path(__file__).resolve().parent.parent / "bench/e2e"
sys.path.insert(0, str(E2E))
sys.dont_write_bytecode = True

import intervals
import models
import plan
import report
import results
import run
import table
import turns
import verdicts

WAYS = ("unpatched", "ours", "unpatched2", "delayed")


def options(**more):
    return run.options_of(run.parse(["decode"]))._replace(**more)


def round_of(number, ms, cell="Qwen3-0.6B, batch 1, context 2,048, compiled", **more):
    return {"table": "decode", "cell": cell, "round": number, "order": list(ms), "ways": {k: {"ms": v} for k, v in ms.items()},
            "layers": 28, "planted_ms": 0.056, **more}


def rounds_of(ratios, noise=0.0005, step=1.0, count=7):
    """Rounds whose ways take these multiples of `step` ms, but for noise that is the same with each run of the tests, and
    a drift from round to round that all ways share."""
    dice = random.Random(1)
    return [
        round_of(n, {way: step * (1 + 0.1 * n) * x * (1 + dice.uniform(-noise, noise)) for way, x in ratios.items()},
                 planted_ms=0.056 * step)
        for n in range(count)
    ]


FOLDER = tempfile.TemporaryDirectory()
unittest.addModuleCleanup(FOLDER.cleanup)


def written(lines, rest=""):
    path = pathlib.Path(tempfile.mkdtemp(dir=FOLDER.name)) / "lines.jsonl"
    found = results.Results(path)
    for line in lines:
        found.add(line)
    if rest:
        with open(path, "a") as file:
            file.write(rest)
    return results.Results(path)


class Intervals(unittest.TestCase):
    def test_the_ends_hold_the_median_with_the_binomial_probability(self):
        for count, left_out in {5: None, 6: 0, 7: 0, 8: 0, 9: 1, 12: 2, 20: 5, 100: 39}.items():
            self.assertEqual(intervals.rank_below(count), left_out, count)
            if left_out is not None:
                for rank, holds in ((left_out, True), (left_out + 1, False)):
                    outside = 2 * sum(math.comb(count, i) for i in range(rank + 1)) / 2**count
                    self.assertEqual(1 - outside >= 0.95, holds, (count, rank))

    def test_the_interval_covers_the_median_of_what_is_drawn_from_nineteen_times_in_twenty(self):
        dice, held = random.Random(0), 0
        for _ in range(2000):
            found = intervals.median_of([dice.expovariate(1) for _ in range(15)])
            held += found.low <= math.log(2) <= found.high
        self.assertGreater(held / 2000, 0.95)

    def test_few_numbers_have_a_median_and_no_interval(self):
        self.assertEqual(intervals.median_of([3, 1, 2]), (2, None, None))
        self.assertEqual(intervals.median_of([1, 2, 3, 4, 5, 6, 7]), (4, 1, 7))

    def test_a_percentile_is_one_of_the_numbers(self):
        numbers = list(range(1, 201))
        self.assertEqual([intervals.percentile(numbers, p) for p in (50, 99, 100)], [100, 198, 200])
        self.assertEqual(intervals.percentile([5.0], 99), 5.0)

    def test_nothing_has_no_median(self):
        for function in (intervals.median_of, lambda x: intervals.percentile(x, 50)):
            with self.assertRaisesRegex(ValueError, "found none"):
                function([])


class Turns(unittest.TestCase):
    def test_a_round_goes_there_and_back_and_the_next_begins_at_the_other_end(self):
        self.assertEqual(turns.order_of("abc", 0), list("abccba"))
        self.assertEqual(turns.order_of("abc", 1), list("cbaabc"))
        self.assertEqual(turns.order_of("abc", 2, back=False) + turns.order_of("abc", 3, back=False), list("abccba"))

    def test_an_even_drift_hits_all_ways_alike(self):
        clock = iter(range(1000))
        ways = {name: lambda: {"ms": next(clock)} for name in "abcd"}
        for number in range(3):
            figures, _ = turns.run_round(ways, number)
            self.assertEqual(len({x["ms"] for x in figures.values()}), 1)

    def test_of_a_peak_the_largest_of_a_round_stays(self):
        made = iter([{"ms": 1, "peak_gb": 5}, {"ms": 3, "peak_gb": 4}])
        self.assertEqual(turns.run_round({"a": lambda: next(made)}, 0)[0], {"a": {"ms": 2, "peak_gb": 5}})

    def test_no_round_begins_that_would_not_end_in_time(self):
        now, kept = [0.0], []

        def turn():
            now[0] += 10
            return {"ms": 1}

        deadline = turns.Deadline(minutes=1, clock=lambda: now[0])  # rounds take 20 s
        ran = turns.run_rounds({"a": turn}, [4, 5, 6, 7], deadline, lambda number, *_: kept.append(number))
        self.assertEqual((ran, kept, now[0]), (3, [4, 5, 6], 60))


class Lines(unittest.TestCase):
    def test_a_run_goes_on_where_it_was(self):
        lines = [round_of(n, {"unpatched": 1, "ours": 1}) for n in (0, 1, 4)]
        found = written(lines)
        self.assertEqual(found.missing("decode", lines[0]["cell"], 7, ["unpatched", "ours"]), [2, 3, 5, 6])
        self.assertEqual(found.missing("prefill", lines[0]["cell"], 2), [0, 1])
        self.assertEqual(found.missing("decode", "another", 2), [0, 1])

    def test_a_line_that_was_cut_off_is_run_again_and_spoils_no_other(self):
        cell = round_of(0, {"unpatched": 1})["cell"]
        found = written([round_of(0, {"unpatched": 1})], rest='{"table": "decode", "cell": "Qwen')
        self.assertEqual(found.missing("decode", cell, 2), [1])
        found.add(round_of(1, {"unpatched": 1}))
        self.assertEqual(results.Results(found.path).missing("decode", cell, 2), [])

    def test_a_round_that_lacks_a_way_is_run_again_unless_that_way_failed(self):
        line = round_of(0, {"unpatched": 1})
        lacking = {"table": "decode", "cell": line["cell"], "way": "ours", "failed": "why"}
        self.assertEqual(written([line]).missing("decode", line["cell"], 1, ["unpatched", "ours"]), [0])
        found = written([line, lacking])
        self.assertEqual(found.missing("decode", line["cell"], 1, ["unpatched", "ours"]), [])
        self.assertEqual(found.failed_ways("decode", line["cell"]), {"ours": "why"})

    def test_what_failed_is_run_again_when_that_is_asked_for(self):
        failed = {"table": "decode", "cell": "a", "failed": "out of memory"}
        self.assertEqual(written([failed]).missing("decode", "a", 2), [])
        for retried, left in (("decode", [0, 1]), ("prefill", [])):
            self.assertEqual(written([failed, {"table": retried, "retry": True}]).missing("decode", "a", 2), left)

    def test_a_note_that_failed_fails_no_cell(self):
        found = written([{"table": "decode", "cell": "a", "note": "saving", "failed": "no spec"}])
        self.assertIsNone(found.failure("decode", "a"))
        self.assertEqual(found.note("decode", "a", "saving")["failed"], "no spec")

    def test_a_file_that_is_not_there_has_no_lines(self):
        self.assertEqual(results.Results("/nonexistent/lines.jsonl").lines, [])


class Verdicts(unittest.TestCase):
    CASES = {
        # ratios to the unpatched model, noise: what the cell's verdict says
        "all is well": ({"unpatched2": 1.0, "delayed": 1.056}, 0.0005, ""),
        "A differs from A": ({"unpatched2": 1.02, "delayed": 1.056}, 0.0005, "A/A does not read 1.00"),
        "no delay where one was planted": ({"unpatched2": 1.0, "delayed": 1.0}, 0.0005, "the planted delay is not seen"),
        "a third of the delay": ({"unpatched2": 1.0, "delayed": 1.018}, 0.0005, "the planted delay is not seen"),
        "ten times the delay": ({"unpatched2": 1.0, "delayed": 1.56}, 0.0005, "the planted delay is not seen"),
        "noise above the delay": ({"unpatched2": 1.0, "delayed": 1.056}, 0.2, "the planted delay is not seen"),
        "no second run of A": ({"delayed": 1.056}, 0.0005, "A/A was not run; the planted delay is not seen"),
        "no delayed run": ({"unpatched2": 1.0}, 0.0005, "no delay was planted"),
    }

    def test_a_cell_counts_only_if_a_over_a_reads_one_and_the_planted_delay_is_seen(self):
        for name, (ratios, noise, reason) in self.CASES.items():
            with self.subTest(name):
                verdict = verdicts.verdict_of(rounds_of({"unpatched": 1.0, **ratios}, noise))
                self.assertEqual((verdict.counts, verdict.why_not), (not reason, reason))

    def test_fewer_rounds_than_seven_do_not_count(self):
        verdict = verdicts.verdict_of(rounds_of({"unpatched": 1.0, "unpatched2": 1.0, "delayed": 1.056}, count=6))
        self.assertEqual((verdict.counts, verdict.why_not), (False, "6 of 7 rounds"))

    def test_ratios_are_taken_within_rounds_so_that_drift_between_them_is_none(self):
        ratio = verdicts.ratio_of(rounds_of({"unpatched": 1.0, "ours": 0.9}, noise=0), "ours")
        for number in ratio.interval:
            self.assertAlmostEqual(number, 0.9)

    def test_a_way_is_slower_only_beyond_what_a_differs_from_a(self):
        same = intervals.Interval(1.0, 0.97, 1.03)
        for low, high, word in ((1.01, 1.05, "same"), (1.04, 1.06, "slower"), (0.9, 0.96, "faster"), (0.95, 0.99, "same"),
                                (None, None, "?")):
            self.assertEqual(verdicts.compared(intervals.Interval(1.0, low, high), same), word)

    def test_a_saving_is_what_kernels_give_and_a_step_reaches(self):
        kernels = {"unpatched_us": 5.0, "ours_us": 2.0, "layers": 28}
        rounds = [round_of(n, {"unpatched": 0.84, "ours": 0.84 * 0.92}) for n in range(7)]
        saving = verdicts.saving_of(rounds, kernels)
        self.assertAlmostEqual(saving.calculated, 28 * 3.0 / 840)  # 10 % of a step
        self.assertAlmostEqual(saving.reached, 0.08)
        self.assertAlmostEqual(saving.part, 0.8)

    def test_where_nothing_is_to_be_saved_no_part_of_it_is_reached(self):
        rounds = rounds_of({"unpatched": 1.0, "ours": 0.9})
        self.assertIsNone(verdicts.saving_of(rounds, {"unpatched_us": 2.0, "ours_us": 2.0, "layers": 28}).part)
        self.assertIsNone(verdicts.saving_of(rounds_of({"unpatched": 1.0}), {"unpatched_us": 2, "ours_us": 1, "layers": 1}))


class Plan(unittest.TestCase):
    def test_names_tell_the_cells_of_a_table_apart_and_smoke_from_whole_from_fewer_layers(self):
        for name in plan.TABLES:
            kinds = [plan.cells(name, options(smoke=smoke, layers=layers))
                     for smoke, layers in ((False, None), (False, 4), (True, None))]
            names = [cell.name for cells in kinds for cell in cells]
            self.assertEqual(len(names), len(set(names)), name)

    def test_decode_of_the_two_small_models_comes_first(self):
        first = [cell.name for cell in plan.cells("decode", options())][:2]
        self.assertEqual(first, [f"{model}, batch 1, context 2,048, compiled" for model in ("Qwen3-0.6B", "Qwen3-1.7B")])

    def test_a_run_of_everything_comes_by_every_cell(self):
        for smoke in (False, True):
            for name in plan.TABLES:
                cells = plan.cells(name, options(smoke=smoke))
                come_by = set()
                for part, words in plan.order(options(smoke=smoke)):
                    if part == name:
                        chosen = table.chosen(cells, options(cells=words))
                        self.assertTrue(smoke or chosen, (name, words))
                        come_by |= {cell.name for cell in chosen}
                self.assertEqual(come_by, {cell.name for cell in cells}, name)

    def test_cells_are_named_by_parts_or_whole(self):
        cells = plan.cells("decode", options())
        cases = {
            "Llama-3.2-1B, batch 1": ["Llama-3.2-1B, batch 1, context 2,048, compiled", "Llama-3.2-1B, batch 1, context 2,048, eager"],
            "=Qwen3-8B, batch 8, context 2,048, compiled": ["Qwen3-8B, batch 8, context 2,048, compiled"],
            "Qwen3-8B, batch 3": [],
        }
        for wanted, names in cases.items():
            self.assertEqual([cell.name for cell in table.chosen(cells, options(cells=[wanted]))], names)

    def test_a_rank_of_eight_has_an_eighth_of_the_heads_and_the_mlp(self):
        rank = models.values_of("Qwen3-32B/8")
        self.assertEqual([8 * rank[key] for key in ("num_attention_heads", "num_key_value_heads", "intermediate_size")],
                         [64, 8, 25600])

    def test_options_that_name_nothing_are_refused_by_name(self):
        for arguments, words in ((["decode", "--models", "Qwen3-9B"], "--models: found Qwen3-9B"),
                                 (["decode", "--ways", "theirs"], "--ways: found theirs"),
                                 (["decode", "--rounds", "0"], "--rounds"), (["nothing"], "nothing")):
            said = io.StringIO()
            with self.assertRaises(SystemExit), contextlib.redirect_stderr(said):
                run.parse(arguments)
            self.assertIn(words, said.getvalue())

    def test_the_unpatched_model_is_always_among_the_ways(self):
        self.assertEqual(run.parse(["decode", "--ways", "ours,unpatched2"]).ways, ["unpatched", "ours", "unpatched2"])


class Report(unittest.TestCase):
    META = {"meta": {"device": "a GPU", "torch": "2", "transformers": "5", "ropejit": "0"}}

    def rows(self, lines):
        text = report.of(written([self.META, *lines]))
        cells = [[x.strip() for x in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
        return [dict(zip(cells[0], row)) for row in cells[2:]], text

    def test_a_row_says_ratio_interval_saving_and_whether_it_counts(self):
        lines = rounds_of({"unpatched": 1.0, "ours": 0.9, "unpatched2": 1.0, "delayed": 1.056}, noise=0.0001)
        kernels = {"table": "decode", "cell": lines[0]["cell"], "note": "saving", "unpatched_us": 8.0, "ours_us": 2.0, "layers": 28}
        (row,), text = self.rows([*lines, kernels])
        self.assertEqual(row["cell"], lines[0]["cell"])
        self.assertRegex(row["ratio [95 %]"], r"^0\.900 \[0\.\d{3}, 0\.\d{3}\]$")
        self.assertEqual((row["it is"], row["counts"], row["reached"]), ("faster", "yes", "10.0 %"))
        self.assertIn("8.00 - 2.00 us x 28", row["saving calculated"])
        self.assertIn("a GPU, torch 2, transformers 5, ropejit 0", text)

    def test_a_cell_that_does_not_count_says_why(self):
        (row,), _ = self.rows(rounds_of({"unpatched": 1.0, "ours": 0.9, "unpatched2": 1.05, "delayed": 1.056}))
        self.assertEqual(row["counts"], "no: A/A does not read 1.00")

    def test_what_was_left_out_is_said(self):
        lines = rounds_of({"unpatched": 1.0})
        cell = lines[0]["cell"]
        _, text = self.rows([*lines, {"table": "decode", "cell": cell, "way": "liger", "failed": "not there"},
                             {"table": "decode", "cell": "another", "failed": "out of memory"}])
        self.assertIn(f"liger is left out of {cell}: not there", text)
        self.assertIn("another: not run (out of memory)", text)

    def test_equality_is_a_table_of_its_own(self):
        ways = {"ours": {"logits_same": 1, "logits_most": 0.0, "dynamic_same": 2, "dynamic_all": 2, "batching_same": 63,
                         "batching_all": 64}}
        (row,), _ = self.rows([{"table": "equal", "cell": "a", "round": 0, "ways": ways}])
        self.assertEqual((row["logits"], row["sequences, dynamic cache"], row["static cache"]), ("the same bits", "2 of 2", "not run"))
        self.assertEqual(row["requests of continuous batching"], "63 of 64")


if __name__ == "__main__":
    unittest.main()
