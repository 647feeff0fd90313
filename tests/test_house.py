"""The rules of the house that no linter knows, each with its reason."""

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import msgspec

import jobs
from jobs.timetable import PumpJob
from spms.core.settings import Settings

ROOT = Path(__file__).parent.parent
SOURCES = sorted([*(ROOT / "spms").rglob("*.py"), *(ROOT / "jobs").rglob("*.py")])
ROOMS = sorted(path.parent.name for path in (ROOT / "spms").glob("*/__init__.py"))
MIGRATIONS = "\n".join(path.read_text("utf-8") for path in (ROOT / "migrations").glob("*.sql"))
TABLES = (
    set(re.findall(r"^\s*CREATE TABLE (?:IF NOT EXISTS )?(\w+)", MIGRATIONS, re.MULTILINE))
    | {"schema_migration"}
) - set(re.findall(r"^DROP TABLE (\w+)", MIGRATIONS, re.MULTILINE))

WRITES = re.compile(
    r"\b(?:INSERT INTO|(?<!FOR )(?<!KEY )(?<!DO )UPDATE|DELETE FROM|TRUNCATE|MERGE INTO|COPY)"
    r"\s+(?:ONLY\s+)?(\w+)"
)
STATEMENT = re.compile(
    r"\s*(?:SELECT|INSERT INTO \w+|UPDATE \w+|DELETE FROM \w+|MERGE INTO|WITH \w+)\s"
)

FOREIGN_WRITES = {
    ("cli", "instance"): "which process plays the demonstration city is decided at its start",
}
THE_DATABASES_CLOCK = {
    "spms/core/database_clock.py": "the reading that every process's clock goes by",
    "spms/core/slots.py": "a lease is held against other machines: they share the database's clock",
    "spms/inspections/queries.py": "the same, for calls that were taken",
    "spms/cli/tools.py": "`spms doctor` compares that clock with ours",
    "spms/core/migrate.py": "when a migration was applied is the machine's business",
}
SERVER_KEEPING = {
    "spms/core/migrate.py": "speaks to databases that have no schema yet",
    "spms/core/roles.py": "makes the role with whose rights statements are checked",
    "spms/core/embedded.py": "starts the server",
    "spms/cli/tools.py": "`spms doctor` asks a server about itself",
}
THE_ENVIRONMENT = {"spms/cli/process.py": "hands it to core/settings.py, which knows the names"}
FORBIDDEN_WORDS = ("util", "helper", "manager", "service")
FILE_LINES, FILE_LINES_OF_STATEMENTS, FUNCTION_LINES = 300, 400, 70


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree_of(path: Path) -> ast.Module:
    text = path.read_text("utf-8")
    try:
        return ast.parse(text)
    except SystemError:  # CPython before 3.11.9 (gh-106905), when another thread parses as well
        return ast.parse(text)


def room_of(path: Path) -> str:
    parts = path.relative_to(ROOT).parts
    return parts[1] if parts[0] == "spms" and len(parts) > 2 else parts[0]


def texts(node: ast.AST) -> Iterator[ast.Constant]:
    for each in ast.walk(node):
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            yield each


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def owners() -> Mapping[str, list[str]]:
    """Return which rooms say in their docstring that they write a table."""
    found: dict[str, list[str]] = {table: [] for table in TABLES}
    for room in ROOMS:
        words = ast.get_docstring(tree_of(ROOT / "spms" / room / "__init__.py")) or ""
        said = re.search(r"^Tables written here: (.*?)\.$", words, re.DOTALL | re.MULTILINE)
        for table in re.findall(r"\w+", said[1]) if said else ():
            if table in found:
                found[table].append(room)
    return found


def test_every_table_has_one_owner() -> None:
    """Whoever wonders who may change a table finds one room, in that room's first lines."""
    assert {table: rooms for table, rooms in owners().items() if len(rooms) != 1} == {}


def test_a_table_is_written_by_its_owner_only() -> None:
    """An invariant of a table can be checked by reading one room."""
    owner = {table: rooms[0] for table, rooms in owners().items() if rooms}
    wrong = {
        (name_of(path), table)
        for path in SOURCES
        for text in texts(tree_of(path))
        for table in WRITES.findall(str(text.value))
        if table in owner and room_of(path) != owner[table]
        and (room_of(path), table) not in FOREIGN_WRITES
    }  # fmt: skip
    assert wrong == set()


def test_statements_are_constants_of_a_module() -> None:
    """A statement has a name, stands where it is prepared in a test, and is never put together."""
    wrong = {
        f"{name_of(path)}:{text.lineno}"
        for path in SOURCES
        if name_of(path) not in SERVER_KEEPING
        for function in functions(tree_of(path))
        for text in texts(function)
        if STATEMENT.match(str(text.value))
        and text.value != ast.get_docstring(function, clean=False)
    }
    assert wrong == set()


def test_only_the_clock_asks_the_time() -> None:
    """Everything else takes `now` as an argument, so that a story can move it."""
    asking = re.compile(
        r"datetime\.(?:now|utcnow|today)\(|date\.today\(|\btime\.(?:time|time_ns|localtime|gmtime)\("
    )
    wrong = {
        name_of(path) for path in SOURCES
        if asking.search(path.read_text("utf-8")) and name_of(path) != "spms/core/clock.py"
    }  # fmt: skip
    assert wrong == set()


def test_statements_ask_the_database_for_the_time_only_to_hold_a_lease() -> None:
    """`now()` in a statement would be a second clock, which no story moves."""
    asking = re.compile(
        r"\b(?:now\(\)|clock_timestamp\(\)|statement_timestamp\(\)|current_(?:date|time\w*)\b)",
        re.IGNORECASE,
    )
    wrong = {
        name_of(path) for path in SOURCES
        for text in texts(tree_of(path))
        if re.search(r"\b(?:SELECT|UPDATE|INSERT|DEFAULT)\b", str(text.value))
        and asking.search(str(text.value)) and name_of(path) not in THE_DATABASES_CLOCK
    }  # fmt: skip
    assert wrong == set()


def test_only_the_settings_know_the_environment() -> None:
    """What configures a process is one documented list, read once at its start."""
    wrong = {
        name_of(path) for path in SOURCES
        if re.search(r"\bos\.(?:environ|getenv)\b", path.read_text("utf-8"))
        and name_of(path) not in THE_ENVIRONMENT
    }  # fmt: skip
    assert wrong == set()


def test_files_and_functions_are_short() -> None:
    """A file is read at one sitting, a function on one screen and a half."""
    long = {}
    for path in SOURCES:
        text = path.read_text("utf-8")
        most = FILE_LINES_OF_STATEMENTS if path.stem.endswith("queries") else FILE_LINES
        if (lines := len(text.splitlines())) > most:
            long[name_of(path)] = lines
        for function in functions(ast.parse(text)):
            if (lines := (function.end_lineno or 0) - function.lineno + 1) > FUNCTION_LINES:
                long[f"{name_of(path)}:{function.name}"] = lines
    assert long == {}


def test_no_file_is_named_after_nothing_in_particular() -> None:
    """A file called utils grows whatever has no place; name it after what it knows."""
    wrong = {
        name_of(path) for path in SOURCES for word in FORBIDDEN_WORDS if word in path.stem
    }  # fmt: skip
    assert wrong == set()


def test_every_setting_is_explained() -> None:
    """The line under a setting is all the manual that an operator has at three in the morning."""
    (kind,) = (
        node for node in tree_of(ROOT / "spms" / "core" / "settings.py").body
        if isinstance(node, ast.ClassDef) and node.name == "Settings"
    )  # fmt: skip
    bare = [
        ast.unparse(field.target)
        for field, after in zip(kind.body, [*kind.body[1:], None], strict=True)
        if isinstance(field, ast.AnnAssign)
        and not (isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant))
    ]
    assert bare == []


def test_the_timetable_is_the_modules_of_jobs() -> None:
    """A job that is not in the timetable never runs; nobody would notice."""
    modules = {path.stem for path in (ROOT / "jobs").glob("*.py")}
    timed = [
        (job.name, (job.pump if isinstance(job, PumpJob) else job.work).__module__)
        for job in jobs.TIMETABLE
    ]
    assert {name for name, _ in timed} == modules - {"__init__", "timetable", "runner"}
    assert all(module == f"jobs.{name}" for name, module in timed)
    assert len(timed) == len({name for name, _ in timed})


def test_every_job_has_its_page() -> None:
    """Whoever is called at night because a job failed finds there what that means."""
    pages = {path.stem: path.read_text("utf-8") for path in (ROOT / "docs" / "jobs").glob("*.md")}
    names = [job.name for job in jobs.TIMETABLE]
    assert sorted(pages) == sorted(names)
    parts = ("**Purpose.**", "**Schedule.**", "**Writes.**", "**When it fails.**")
    assert {
        name for name, text in pages.items() if not all(part in text for part in parts)
    } == set()
    index = (ROOT / "docs" / "jobs.md").read_text("utf-8")
    assert [name for name in names if f"| [{name}](jobs/{name}.md) |" not in index] == []


def test_every_setting_is_read_somewhere() -> None:
    """Directories are read through a property of the settings, which makes them absolute."""
    elsewhere = "".join(path.read_text("utf-8") for path in SOURCES if path.name != "settings.py")
    names = {field.name for field in msgspec.structs.fields(Settings)} - {"data_dir", "anchor_dir"}
    assert {name for name in names if f"settings.{name}" not in elsewhere} == set()
