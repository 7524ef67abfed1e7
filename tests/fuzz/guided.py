"""One target under atheris, in a process of its own: atheris ends the process that it runs in.

`python -m tests.fuzz.guided TARGET SECONDS SEED DIRECTORY`; the directory keeps the inputs that reach something new.
"""

import sys
from pathlib import Path


def main(name: str, seconds: str, seed: str, directory: str) -> None:
    import atheris

    with atheris.instrument_imports(
        include=["gateway", "tests.smuggling.reference", "tests.smuggling.response"]
    ):
        from tests.fuzz.engine import LONGEST, WORDS, cases, keep, problem_of, shortest, target

        made = target(name)
    corpus = Path(directory)
    corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(made.seeds()):
        (corpus / f"seed-{number}").write_bytes(data)
    for path in cases(name):
        (corpus / path.name).write_bytes(path.read_bytes())
    words = corpus.with_suffix(".words")
    escaped = ["".join([f"\\x{byte:02x}" for byte in word]) for word in WORDS]
    words.write_text("".join([f'"{word}"\n' for word in escaped]))

    def check(data: bytes) -> None:
        if problem_of(made.check, data) is not None:
            print(keep(name, shortest(made.check, data)), flush=True)
            raise AssertionError(name)

    options = (f"-max_total_time={seconds}", f"-seed={seed}", f"-max_len={LONGEST}", f"-dict={words}")
    quiet = ("-verbosity=0", "-print_final_stats=1", "-timeout=60", f"-artifact_prefix={corpus.parent}/")
    atheris.Setup([sys.argv[0], *options, *quiet, str(corpus)], check)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
