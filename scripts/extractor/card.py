"""Write the model card of the engine `blocks`: `python -m scripts.extractor.card`.

After `make train-extractor`: reads its model, its out-of-fold predictions and the test data; writes
MODEL_CARD.md, the chart of the confidence and the pictures of failures.
"""

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from blake3 import blake3

from scripts.extractor import calibration, learn, summary
from scripts.extractor.bench_report import table
from scripts.extractor.gold import Page, load_pages
from scripts.extractor.pictures import Failure, failures, picture_path, write_pictures
from scripts.extractor.predictions import PREDICTIONS, Prediction, read_predictions
from scripts.extractor.summary import Estimate, Evaluation
from scripts.reference import DATA, ROOT
from services.extraction.engines.blocks import context, decide, features
from services.extraction.engines.blocks import lexicon as scores
from services.extraction.engines.blocks.model import PATH, load

TEMPLATE = Path(__file__).with_name("card.md")
CARD = PATH.with_name("MODEL_CARD.md")
CHART = ROOT / "docs" / "images" / "extraction-confidence.svg"
#: From the card to the pictures.
IMAGES = "../../../../docs/images"


def main() -> None:
    """Card, chart, pictures."""
    options = _parse()
    pages = load_pages(options.data)
    predictions = read_predictions(options.predictions, pages)
    found = summary.evaluate(pages, {key: one.text for key, one in predictions.items()})
    pictured = failures(pages, predictions, found.f1s)
    judged = [page.record_id for page in pages if page.kind == "full"]
    sure = [_sure(predictions[key]) for key in judged]
    f1s = [found.f1s[key] for key in judged]
    CARD.write_text(
        TEMPLATE.read_text(encoding="utf-8").format(
            **model_facts(),
            **data_facts(pages, options.data),
            **result_facts(pages, predictions, found),
            **confidence_facts(sure, f1s),
            failures="\n\n".join(failure_text(i, one) for i, one in enumerate(pictured, 1)),
        ),
        encoding="utf-8",
    )
    CHART.write_text(
        calibration.chart(calibration.bins(sure, f1s), calibration.curve(sure, f1s)),
        encoding="utf-8",
    )
    write_pictures(pictured)


def _sure(prediction: Prediction) -> float:
    if prediction.confidence is None:
        raise SystemExit("a page of full gold has no confidence: make train-extractor")
    return prediction.confidence


def model_facts() -> dict[str, Any]:
    """What the model is made of."""
    import lightgbm

    data = PATH.read_bytes()
    model = load()
    forests = model.first, model.second, model.confidence
    first, second, confidence = (len(forest.tree_words) - 1 for forest in forests)
    return {
        "size": len(data),
        "digest": blake3(data).hexdigest(),
        "seed": learn.SEED,
        "lightgbm": lightgbm.__version__,
        "trees": first,
        "second_trees": second,
        "confidence_trees": confidence,
        "folds": learn.FOLDS,
        "plain": len(features.NAMES),
        "words": len(scores.NAMES),
        "context": len(context.NAMES),
        "page": len(decide.PAGE_NAMES),
        "buckets": scores.BUCKETS,
    }


def data_facts(pages: Sequence[Page], data: Path) -> dict[str, Any]:
    """Where the pages are from, and under which licences."""
    with (data / "warc" / "open" / "manifest.jsonl").open(encoding="utf-8") as lines:
        manifest = [json.loads(line) for line in lines]
    kinds = Counter(page.kind for page in pages)
    named = [kind for kind, _ in kinds.most_common() if kind is not None]
    of_source = defaultdict(list)
    for page in pages:
        of_source[page.source].append(page)
    names = {row["id"].partition("/")[0]: row["source"] for row in manifest}
    rows = []
    for source, members in sorted(of_source.items(), key=lambda item: -len(item[1])):
        by_kind = Counter(page.kind for page in members)
        counts = (str(by_kind[kind] or "") for kind in (*named, None))
        sites = len({page.site for page in members})
        rows.append((f"{source} (`{names[source]}`)", str(len(members)), str(sites), *counts))
    licences = Counter((names[row["id"].partition("/")[0]], row["licence"]) for row in manifest)
    return {
        "pages": len(pages),
        "gold": len(pages) - kinds[None],
        "data": table(("source", "pages", "sites", *named, "no gold"), rows),
        "kinds": counted(page.kind or "none" for page in pages),
        "languages": counted(page.language for page in pages),
        "types": counted(page.page_type or "not said" for page in pages if page.kind == "full"),
        "licences": table(
            ("source and licence", "pages"),
            [(f"{name}: {licence}", str(n)) for (name, licence), n in licences.most_common()],
        ),
    }


def counted(values: Iterable[str]) -> str:
    """Values and how often they are there, the most frequent first."""
    return ", ".join(f"{value} {count:,}" for value, count in Counter(values).most_common())


def result_facts(
    pages: Sequence[Page], predictions: Mapping[str, Prediction], found: Evaluation
) -> dict[str, Any]:
    """The cross-validation."""
    estimates = summary.summary(pages, found.f1s)
    none = [page for page in pages if not predictions[page.record_id].text.strip()]
    full = [page for page in none if page.kind == "full"]
    return {
        "results": table(
            ("pages of full gold", "F1", "standard error", "95 %", "pages"),
            [estimate_row(name, one) for name, one in estimates.items()],
        ),
        "overall": found.overall,
        "empty": f"{100 * found.overall['empty']:.2f} % of the pages with gold",
        "empty_gold": f"No text is given for {len(full)} pages of full gold:"
        f" {counted(page.page_type or 'of no type' for page in full) or 'none'}.",
    }


def estimate_row(name: str, one: Estimate) -> tuple[str, ...]:
    """A row of the results."""
    named = name.replace("None", "not said")
    return named, *(f"{x:.3f}" for x in (one.value, one.error)), interval(one), str(one.pages)


def interval(one: Estimate) -> str:
    """From where to where."""
    return f"{one.low:.3f} to {one.high:.3f}"


def confidence_facts(sure: Sequence[float], f1s: Sequence[float]) -> dict[str, Any]:
    """Bins and curve of the confidence."""
    found = calibration.bins(sure, f1s)
    return {
        "judged": len(sure),
        "error": calibration.calibration_error(found),
        "correlation": calibration.correlation(sure, f1s),
        "bins": table(
            ("confidence", "mean confidence", "mean F1", "pages"),
            [
                (
                    f"{one.low:.3f} to {one.high:.3f}",
                    f"{one.confidence:.3f}",
                    f"{one.f1:.3f}",
                    str(one.pages),
                )
                for one in found
            ],
        ),
        "curve": table(
            ("least confidence", "pages kept", "share", "their mean F1", "mean F1 of the others"),
            [
                (
                    f"{row.threshold:.2f}",
                    f"{row.pages:,}",
                    f"{100 * row.share:.1f} %",
                    *("" if f1 is None else f"{f1:.3f}" for f1 in (row.f1, row.left_f1)),
                )
                for row in calibration.curve(sure, f1s)
            ],
        ),
    }


def failure_text(number: int, failure: Failure) -> str:
    """A picture with its sentences."""
    kept, wrong, missed = (failure.share(name) for name in ("kept", "wrong", "missed"))
    place = f"number {failure.place} from below of the {failure.among}"
    return (
        f"**{number}. {failure.title}**, {place}"
        f" pages of its type (`{failure.page.record_id}`). Of {kept + missed:,} characters of"
        f" main text {kept:,} are kept, and {wrong:,} others. {failure.why}\n\n"
        f"![{failure.title}: blocks kept and left]({IMAGES}/{picture_path(number).name})"
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="the test data")
    parser.add_argument("--predictions", type=Path, default=PREDICTIONS, help="of the training")
    return parser.parse_args()


if __name__ == "__main__":
    main()
