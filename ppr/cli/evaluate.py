"""`ppr evaluate`: measure a finished run again, without training it."""

from __future__ import annotations

import click

from ppr.cli import options
from ppr.cli.run import run_one
from ppr.cli.words import RECORDED, WORDS
from ppr.errors import BadRequest


@click.command(name="evaluate")
@click.argument("run", type=RECORDED, metavar="RUN")
@click.argument("words", nargs=-1, type=WORDS, metavar="[KEY=VALUE]...")
@options.config_dir
@click.option("--force", is_flag=True, help="Measure again; the earlier result is kept aside.")
@click.option("-q", "--quiet", is_flag=True, help="Print only errors.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON, nothing else.")
def command(run: str, words: tuple[str, ...], force: bool, quiet: bool, as_json: bool) -> None:
    """Measure a finished run again, with other evaluators, on other data or another split.

    RUN is a run directory, EXPERIMENT/VARIANT/seed=N, EXPERIMENT/seed=N or an experiment with one
    seed. The result is a run of its own beside it, which tables can name: task=evaluate with the
    run's words as inputs.model.

    \b
      ppr evaluate supcon_digits/seed=0 evaluator=[knn,retrieval] evaluator.knn.k=5
      ppr evaluate supcon_digits/seed=0 task.epoch=best task.split=validation
      ppr evaluate supcon_digits/seed=0 dataset=folder data.root=my_images
    """
    from ppr.config.compose import compose
    from ppr.config.places import results_root
    from ppr.results.again import evaluation_words
    from ppr.results.tree import scan

    for word in words:
        key = word.partition("=")[0].lstrip("+~").partition(".")[0]
        if key not in TAKEN:
            allowed = ", ".join(TAKEN)
            raise BadRequest(f"{word}: an evaluation takes none of it; allowed: {allowed}")
    root = next((w.partition("=")[2] for w in words if w.startswith("results.root=")), None)
    found = evaluation_words(scan(results_root(root)), run)
    run_one(compose([*found, *words]), force, quiet, as_json)


TAKEN = ("evaluator", "dataset", "task", "data", "results", "engine", "tracker")
