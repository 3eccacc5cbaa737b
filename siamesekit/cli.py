"""The command ``siamesekit``: arguments in, estimators called, words or strict json out.

It does nothing that the library does not. It ends with 0 where it did what was asked, with 1 where
the answer is no (``verify``: of different classes; ``identify``: somebody is unknown), and with 2
and one line on stderr where it could not. Answers go to stdout, all else to stderr.
"""

import argparse
import json
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, NoReturn

import siamesekit
from siamesekit._checks import check_number, check_path
from siamesekit._params import in_words
from siamesekit.errors import InvalidDataError, InvalidParameterError, SiamesekitError

__all__ = ["main"]

DONE, NO, FAILED = 0, 1, 2

_ESTIMATORS = {
    "classifier": "SiameseClassifier",
    "verifier": "SiameseVerifier",
    "embedder": "SiameseEmbedder",
}
_STOPPED = 130  # as a shell has it for a process that was interrupted


class Answer(NamedTuple):
    """What a command came to.

    Attributes
    ----------
    facts : object
        For json.
    lines : list of str
        For people.
    code : int
        That the process ends with.
    told : bool
        Whether this process tells it: of several that ``torchrun`` started, the first does.
    """

    facts: Any
    lines: list[str]
    code: int = DONE
    told: bool = True


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # One line, as every other error; --help has the rest.
        self.exit(FAILED, f"{self.prog}: error: {message} ({self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    argv : sequence of str, optional
        Its arguments; those of the process by default.

    Returns
    -------
    int
        0: done; 1: the answer is no; 2: it cannot be done, and one line on stderr says why.

    Raises
    ------
    SystemExit
        After ``--help`` (0), or if the arguments are none of this command (2).
    """
    args = _parser().parse_args(argv)
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            with _progress(args):
                answer: Answer = args.run(args)
            if answer.told:
                _put_out(answer, args.json)
        except BrokenPipeError:  # who read the answer has gone
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return FAILED
        except KeyboardInterrupt:
            return _failed("stopped", _STOPPED)
        except (SiamesekitError, OSError, ValueError) as error:
            return _failed(str(error), FAILED)
        except Exception as error:  # no memory left, a plugin's fault: 1 would mean that it is no
            return _failed(f"{type(error).__name__}: {error}", FAILED)
    return answer.code


# -- commands ---------------------------------------------------------------------------------


def _parts(args: argparse.Namespace) -> Answer:
    found = siamesekit.list_parts(args.kind, args.pattern)
    return Answer(
        [part._asdict() for part in found],
        [f"{part.kind:14}{part.name:28}{part.summary}  [{part.origin}]" for part in found],
        DONE if found else NO,
    )


def _info(args: argparse.Namespace) -> Answer:
    if args.model is None:
        facts = siamesekit.environment.environment()
        return Answer(facts, _listed(facts))
    model = siamesekit.load(args.model)
    facts = {"kind": type(model).__name__}
    if isinstance(model, siamesekit.Gallery):
        facts |= {"examples": len(model), "classes": model.classes.tolist()}
        return Answer(facts, _listed(facts))
    facts |= {
        "input_shape": list(model.input_shape_),
        "embedding_size": model.embedding_size_,
        "trained_classes": model.n_classes_trained_,
        "epochs": model.history_.epochs,
        **{part: in_words(getattr(model, part)) for part in ("backbone", "head", "loss", "reader")},
    }
    if isinstance(model, siamesekit.SiameseClassifier):
        facts["classes"] = model.classes_.tolist()
    return Answer(facts, _listed(facts))


def _train(args: argparse.Namespace) -> Answer:
    estimator = getattr(siamesekit, _ESTIMATORS[args.kind])()
    size = tuple(args.size) if len(args.size) > 1 else args.size[0]
    mode = "RGB" if args.colour else "L"
    of_options = {
        "reader": siamesekit.data.ImageReader(size, mode, args.invert),
        "random_state": args.seed,
        "verbose": not args.quiet,
        "device": args.device,
    }
    # What --set names is said more plainly than what an option has by default.
    estimator.set_params(**of_options | dict(_setting(text) for text in args.set))
    if ends := _ends(args):
        siamesekit.training.callbacks.check_callbacks("callbacks", estimator.callbacks)
        estimator.set_params(callbacks=[*estimator.callbacks, *ends])
    _check_free(args.out)
    files = siamesekit.data.load_image_folder(args.folder, as_paths=True)
    estimator.fit(files.paths, files.y, groups=files.groups)
    leads = siamesekit.training.leads()
    if leads:
        estimator.save(args.out)
    facts = {
        "model": str(args.out),
        "items": len(files.y),
        "classes": len(set(files.y.tolist())),
        "history": {name: column[-1] for name, column in estimator.history_.items()},
    }
    return Answer(facts, _listed(facts), told=leads)


def _evaluate(args: argparse.Namespace) -> Answer:
    model = _estimator(args.model)
    files = siamesekit.data.load_image_folder(args.folder, as_paths=True)
    if isinstance(model, siamesekit.SiameseVerifier):
        report = model.report(files.paths, files.y, random_state=args.seed).to_dict()
        return Answer(report, _listed(report))
    result = siamesekit.evaluation.episode_accuracy(
        model.transform(files.paths),
        files.y,
        way=args.way,
        shot=args.shot,
        n_episodes=args.episodes,
        random_state=args.seed,
        estimator=model,
    )
    return Answer(result.to_dict(), [str(result), result.protocol])


def _enroll(args: argparse.Namespace) -> Answer:
    out = args.model if args.out is None else args.out
    _check_local(out)
    if args.out is not None:
        check_path("--out", args.out)
    if args.label is not None and not args.label.strip():
        # As of a variable that a shell does not know.
        raise InvalidParameterError(f"--label must name a class; got {args.label!r}.")
    model = _classifier(args.model)
    if args.label is None and len(args.paths) != 1:
        raise InvalidParameterError(
            f"without --label, what is enrolled must be one folder of folders; got {args.paths}."
        )
    if args.label is None:
        files = siamesekit.data.load_image_folder(args.paths[0], as_paths=True)
        paths, labels = files.paths.tolist(), files.y.tolist()
    else:
        paths, labels = args.paths, [args.label] * len(args.paths)
    model.enroll(paths, labels)
    model.save(out)
    facts = {"enrolled": len(paths), "classes": model.classes_.tolist()}
    return Answer(facts, _listed(facts))


def _identify(args: argparse.Namespace) -> Answer:
    found = _classifier(args.model).identify(args.files, args.k, args.fpir)
    facts, lines = [], []
    for row, file in enumerate(args.files):
        labels, scores = found.labels[row].tolist(), found.scores[row].tolist()
        unknown = bool(found.unknown[row])
        facts.append({"file": file, "unknown": unknown, "labels": labels, "scores": scores})
        named = ", ".join(f"{a} ({b:.4g})" for a, b in zip(labels, scores, strict=True))
        lines.append(f"{file}: {'unknown; nearest: ' if unknown else ''}{named}")
    return Answer(facts, lines, NO if found.unknown.any() else DONE)


def _verify(args: argparse.Namespace) -> Answer:
    if args.threshold is not None:
        check_number("--threshold", args.threshold)
    model = _estimator(args.model)
    if isinstance(model, siamesekit.SiameseVerifier):
        score = float(model.decision_function([args.first], [args.second])[0])
        cut = model.threshold_ if args.threshold is None else args.threshold
    else:
        score = float(model.similarity([args.first], [args.second])[0, 0])
        cut = 0.5 if args.threshold is None else args.threshold
    same = score >= cut
    facts = {"same": same, "score": score, "threshold": cut}
    word = "same" if same else "different"
    return Answer(facts, [f"{word} (score {score:.4g}, threshold {cut:.4g})"], DONE if same else NO)


def _export(args: argparse.Namespace) -> Answer:
    check_path("--out", args.out)
    model = _estimator(args.model)
    model.export(args.out)
    facts = {"model": args.model, "folder": args.out, "kind": type(model).__name__}
    return Answer(facts, _listed(facts))


def _demo(args: argparse.Namespace) -> Answer:
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    known = y < 8
    clf = siamesekit.SiameseClassifier(
        max_epochs=5, random_state=args.seed, verbose=not args.quiet
    ).fit(X[known], y[known])
    new = [int((y == digit).argmax()) for digit in (8, 9)]
    clf.enroll(X[new], y[new])
    rest = ~known
    rest[new] = False
    facts = {
        "trained_on": "the digits 0 to 7 of scikit-learn, 8×8 pixels",
        "enrolled": "8 and 9, from one example each",
        "accuracy_of_8_and_9_among_10": clf.score(X[rest], y[rest]),
        "items": int(rest.sum()),
    }
    return Answer(facts, _listed(facts))


# -- what they share --------------------------------------------------------------------------


def _estimator(path: str) -> Any:
    model = siamesekit.load(path)
    if isinstance(model, siamesekit.Gallery):
        raise InvalidDataError(f"{path} is a gallery; this takes the folder of an estimator.")
    return model


def _classifier(path: str) -> Any:
    model = _estimator(path)
    if not isinstance(model, siamesekit.SiameseClassifier):
        raise InvalidDataError(
            f"{path} holds a {type(model).__name__}; this takes a SiameseClassifier, which has a "
            "gallery."
        )
    return model


def _ends(args: argparse.Namespace) -> list[Any]:
    """Return the callbacks that options ask for."""
    limit, patience = args.time_limit, args.early_stopping
    ends = [] if limit is None else [siamesekit.training.TimeLimit(limit)]
    return ends + ([] if patience is None else [siamesekit.training.EarlyStopping(patience)])


def _setting(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise InvalidParameterError(f"--set takes NAME=VALUE; got {text!r}.")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _check_free(path: str) -> None:
    """Raise an error where `save` would, before anything is trained."""
    _check_local(path)
    target = check_path("--out", path)
    if target.is_file() or (
        target.is_dir() and any(target.iterdir()) and not (target / "model.json").is_file()
    ):
        raise InvalidParameterError(
            f"--out must be new, an empty folder or one saved before; {path} is none."
        )


def _check_local(out: str) -> None:
    from siamesekit.estimators._huggingface_hub import check_local

    check_local("--out", out)


def _put_out(answer: Answer, as_json: bool) -> None:
    if as_json:
        from siamesekit.evaluation._facts import json_of

        text = json.dumps(json_of(_finite(answer.facts)), allow_nan=False, ensure_ascii=False)
        print(text, flush=True)
    else:
        print(*answer.lines, sep="\n", flush=True)


def _finite(value: Any) -> Any:
    """Return a value with null in place of what json has no word for."""
    if isinstance(value, dict):
        return {str(key): _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    return value


def _listed(facts: dict[str, Any]) -> list[str]:
    return [f"{name}: {value}" for name, value in facts.items()]


def _progress(args: argparse.Namespace) -> AbstractContextManager[None]:
    if getattr(args, "quiet", True):
        return nullcontext()
    return siamesekit.training.showing_progress()


def _failed(message: str, code: int) -> int:
    print("siamesekit: error:", " ".join(message.split()), file=sys.stderr)
    return code


def _show_warning(message: object, category: type[Warning], *args: object, **more: object) -> None:
    print("siamesekit: warning:", " ".join(str(message).split()), file=sys.stderr)


# -- arguments --------------------------------------------------------------------------------


def _take_quiet(command: argparse.ArgumentParser) -> None:
    """Let a command that shows progress (see `_progress`) be told not to."""
    command.add_argument("--quiet", action="store_true", help="no progress on stderr")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="siamesekit",
        description="Teach a network to compare, then recognise new classes from one example.",
        epilog="Ends with 0: done; 1: the answer is no (different, unknown, none); 2: an error.",
    )
    parser.add_argument("--version", action="version", version=siamesekit.__version__)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], Answer], text: str) -> Any:
        own = commands.add_parser(name, help=text, description=text)
        own.set_defaults(run=run)
        own.add_argument("--json", action="store_true", help="strict json on stdout")
        return own

    own = command("parts", _parts, "List parts by kind and pattern.")
    own.add_argument("kind", nargs="?", help="losses, heads, …; all by default")
    own.add_argument("pattern", nargs="?", help="'*hard*', or a word in the name")

    own = command("info", _info, "Say what a saved model is; without one, what this machine is.")
    own.add_argument("model", nargs="?")

    own = command("train", _train, "Train on pictures, FOLDER/class/*.png, and save.")
    own.add_argument("folder")
    own.add_argument("--out", required=True, help="folder of the model")
    own.add_argument("--kind", choices=list(_ESTIMATORS), default="classifier")
    own.add_argument("--size", type=int, nargs="+", default=[64], help="height and width")
    own.add_argument("--colour", action="store_true", help="three channels in place of grey")
    own.add_argument("--invert", action="store_true", help="dark ink on bright paper")
    own.add_argument("--seed", type=int, default=0)
    own.add_argument("--device", default="auto")
    _take_quiet(own)
    own.add_argument(
        "--time-limit", type=float, metavar="SECONDS", help="end after the epoch in which it is up"
    )
    own.add_argument(
        "--early-stopping",
        type=int,
        metavar="EPOCHS",
        help="end after so many without a better score; with --set validation=0.2",
    )
    own.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any parameter of the estimator: max_epochs=5, loss=triplet, loss__margin=0.3",
    )

    own = command("evaluate", _evaluate, "Test on pictures of classes that were not trained on.")
    own.add_argument("model")
    own.add_argument("folder")
    own.add_argument("--way", type=int, default=5)
    own.add_argument("--shot", type=int, default=1)
    own.add_argument("--episodes", type=int, default=1000)
    own.add_argument("--seed", type=int, default=0)
    _take_quiet(own)

    own = command("enroll", _enroll, "Add examples to a saved classifier.")
    own.add_argument("model")
    own.add_argument("paths", nargs="+", help="files with --label, else one folder of folders")
    own.add_argument("--label")
    own.add_argument("--out", help="folder to save to, in place of MODEL")
    _take_quiet(own)

    own = command("identify", _identify, "Say who is on each picture; 1 if somebody is unknown.")
    own.add_argument("model")
    own.add_argument("files", nargs="+")
    own.add_argument("-k", type=int, default=1, help="how many classes of each")
    own.add_argument("--fpir", type=float, help="share of strangers that may get a name")
    _take_quiet(own)

    own = command("verify", _verify, "Say whether two pictures are of one class; 1 if not.")
    own.add_argument("model")
    own.add_argument("first")
    own.add_argument("second")
    own.add_argument("--threshold", type=float, help="of the score, in place of the model's own")

    own = command("export", _export, "Write a folder that NumPy and onnxruntime serve.")
    own.add_argument("model")
    own.add_argument("--out", required=True, help="folder, new or exported to before")

    own = command("demo", _demo, "Train on small digits for some seconds, enroll two more.")
    own.add_argument("--seed", type=int, default=0)
    _take_quiet(own)
    return parser
