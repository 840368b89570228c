"""Cross-source validation: train models without some sources, and test them on these sources."""

from collections.abc import Sequence

from car_damage.dataset.arrays import Dataset
from car_damage.evaluation.cross_sources import (
    CROSS_SOURCES,
    HELD_OUT,
    HOME,
    FoldAnswer,
    fold_answers,
    read_answers,
    write_answers,
)
from car_damage.evaluation.held_out_sources import leave_out
from car_damage.training.checkpoints import Run
from car_damage.training.classifier import predicted_logits
from car_damage.training.initial_weights import Start
from car_damage.training.phases import train


def answer_folds(
    start: Start, dataset: Dataset, runs: Sequence[Run], resume: bool
) -> list[FoldAnswer]:
    """For each fold, train a model without its sources and collect the answers for their photos.

    `runs` has a run for each fold; its settings list the sources to leave out. Test photos are in
    no fold. The model of `start` has its initial weights again afterwards. With `resume`, finished
    folds are read from disk, not trained again.
    """
    initial = start.model.get_weights()
    answers: list[FoldAnswer] = []
    for number, run in enumerate(runs):
        finished = run.folder / CROSS_SOURCES
        if not (resume and finished.exists()):
            sources = run.settings.leave_out
            print(f"\nfold {number + 1} of {len(runs)}: without {', '.join(sources)}")
            fold = leave_out(dataset, sources)
            train(start, fold, run, resume)
            partial = finished.with_suffix(".partial")
            write_answers(partial, _answers(start, fold, number))
            partial.replace(finished)
            start.model.set_weights(initial)
        answers += read_answers(finished)
    return answers


def _answers(start: Start, fold: Dataset, number: int) -> list[FoldAnswer]:
    """The answers for the fold's photos, and for the home validation photos to compare scales."""
    return [
        answer
        for part, split in ((HELD_OUT, fold.test), (HOME, fold.val))
        for answer in fold_answers(split.rows, predicted_logits(start.model, split), number, part)
    ]
