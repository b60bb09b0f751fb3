"""The command ``retrograd``: its verbs, and how every failure ends in one sentence and a code.

Exit codes: 0 done; 2 input or usage refused; 1 anything else that failed; 130 and 143 interrupted
and terminated, after saving. Verbs are registered by name and imported when called, so that
``--help`` stays fast.
"""

from __future__ import annotations

import contextlib
import keyword
import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError, UnusedCliTokensError

from retrograd import __version__
from retrograd.cli.output import warnings_as_notes
from retrograd.tensor.errors import InputError, RetrogradError

VERBS = {
    "train": ("Train a network on a table, and keep the best.", "shop.csv bought"),
    "tune": ("Search for the best way to train on a table, and train it.", "shop.csv --time 10m"),
    "test": ("Open the sealed test part once and print an honest estimate.", "runs/digits-1"),
    "predict": ("Predict the rows of a table with a trained network.", "runs/shop-1 new.csv"),
    "serve": ("Answer requests for predictions, on a page and in JSON.", "runs/shop-1"),
    "export": (
        "Write a network as a file that works elsewhere, and prove it first.",
        "runs/shop-1 --to shop.onnx",
    ),
    "import": ("Read a dense network from an ONNX file.", "net.onnx --to net.retro"),
    "report": ("Write everything about a run on one page, to read, print or send.", "runs/shop-1"),
    "show": ("Show what a network predicts, from what, how well, and its limits.", "runs/shop-1"),
    "explain": (
        "Show one row's forward pass, loss, backward pass and update in numbers.",
        "runs/digits-1 --row 17",
    ),
    "check": ("Check your network's gradients against finite differences.", "runs/digits-1"),
    "bench": (
        "Measure this machine, or profile a run's training step kernel by kernel.",
        "--profile runs/digits-1",
    ),
    "ops": ("List every operation with its formula and its derivative.", "matmul"),
}
"""What each verb does, and an example of what to give it."""


def build_app() -> App:
    """Return the command-line application, with no verb imported yet."""
    app = App(
        name="retrograd",
        help="Train neural networks by backpropagation, and see every number on the way.\n\n"
        "Start with: retrograd train digits",
        version=__version__,
        version_flags=["--version"],
        help_format="plaintext",
        suppress_keyboard_interrupt=False,
    )
    for verb, (summary, example) in VERBS.items():
        words = f"{summary}\n\nFor example: retrograd {verb} {example}"
        place = f"{verb}_" if keyword.iskeyword(verb) else verb
        app.command(f"retrograd.cli.{place}:{place}", name=verb, help=words)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; console entry point."""
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    if "-" in tokens:
        return _refuse("standard input is not read; write its content to a file first", 2)
    try:
        with warnings_as_notes():
            code = build_app()(
                tokens, exit_on_error=False, print_error=False, result_action="return_value"
            )
        sys.stdout.flush()
        return int(code or 0)
    except BrokenPipeError:
        # Whoever read our output has seen enough; nothing more can be said to them.
        _forget_output()
        return 0
    except OSError as error:
        _forget_output()
        place = f" {error.filename}" if error.filename else ""
        return _refuse(f"the system refused{place}: {error.strerror or error}", 1)
    except (Exception, KeyboardInterrupt) as error:
        return _refuse(*_ending(error))


def _ending(error: BaseException) -> tuple[str, int]:
    """Return the sentence and the exit code of a failure."""
    match error:
        case UnusedCliTokensError():
            extra = " ".join(error.unused_tokens or ())
            return f"{extra!r} is more than this verb takes; look at its --help", 2
        case CycloptsError():
            return str(error), 2
        case RetrogradError():
            return str(error), 2 if isinstance(error, InputError) else 1
        case KeyboardInterrupt():
            return "interrupted", 130
        case MemoryError():
            return "out of memory: use fewer rows, a smaller network or a smaller batch", 1
        case UnicodeEncodeError():
            letter = error.object[error.start]
            return f"{error.encoding} cannot show {letter!a}: set PYTHONIOENCODING=utf-8", 1
        case _ if os.environ.get("RETROGRAD_DEBUG"):
            raise error
        case _:
            found = f"{type(error).__name__}: {error}"
            return f"a fault of our own, {found}; RETROGRAD_DEBUG=1 shows where: report it", 1


def _refuse(sentence: str, code: int) -> int:
    """Say why in one line, whatever the names and cells in it hold."""
    line = " ".join(sentence.split())
    shown = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in line)
    with contextlib.suppress(OSError):
        print(f"retrograd: {shown}", file=sys.stderr)
    return code


def _forget_output() -> None:
    """Let the interpreter end without trying to write what could not be written."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
